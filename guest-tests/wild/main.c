/* SPDX-License-Identifier: MIT */
/*
 * wild: instruction fetch from an address with no memory behind it.
 *
 * Why: the exit is an EPT violation for a fetch, which can be neither mapped nor emulated as a
 * device access; a hypervisor that resumes the guest there loops for ever.
 * Expected: stopped, reason wild-fetch; the line "wild: jumping" is the last. An exception
 * would mean that somebody made up instruction bytes.
 */
#include "guest-tests/lib/guest.h"

void guest_main(void)
{
	u64 target = 0xfd000000;

	print("wild: jumping to 0x%lx\n", target);
	asm volatile("jmp *%0" : : "r"(target));
	__builtin_unreachable();
}
