/* SPDX-License-Identifier: MIT */
/*
 * spin: a guest that never exits by itself and has interrupts off.
 *
 * Why: only the VMX preemption timer can take the processor back; without it such a guest
 * holds the machine for ever.
 * Expected: stopped, reason time-limit (give it a limit=).
 */
#include "guest-tests/lib/guest.h"

void guest_main(void)
{
	print("spin: now\n");
	asm volatile("cli\n1:\tjmp 1b");
	__builtin_unreachable();
}
