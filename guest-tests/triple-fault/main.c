/* SPDX-License-Identifier: MIT */
/*
 * triple-fault: a fault that no handler takes.
 *
 * Why: on a machine of its own this is a reset. In a guest it must end that guest, with a
 * report of where, and nothing else.
 * Expected: stopped, reason triple-fault; the line "triple-fault: now" is the last.
 */
#include "guest-tests/lib/guest.h"

void guest_main(void)
{
	static const u8 empty[10]; /* limit 0, base 0 */

	print("triple-fault: now\n");
	asm volatile("lidt %0\n\tint3" : : "m"(empty));
	report(false, "stopped by a triple fault", "still running");
}
