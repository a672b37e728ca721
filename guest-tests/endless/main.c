/* SPDX-License-Identifier: MIT */
/*
 * endless: exits as fast as it can, of several kinds, and never ends.
 *
 * Why: spin never leaves the guest; this one is hardly ever in it. What counts its time and gives the
 * others their turn must work between exits too, and each kind must cost the machine nothing
 * that lasts: no memory, no line of output.
 * Expected: stopped, reason time-limit (give it a limit=), while its neighbours pass.
 */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

#define RAM	0x200000ull
#define OUTSIDE 0xe0000000ull

void guest_main(void)
{
	u64 fresh = RAM;

	print("endless: now\n");
	for (;;) {
		cpuid(0, 0);
		inb(0x4d8);
		outb(0x80, 0);
		hypercall(HC_VERSION, 0, 0, 0);
		hypercall(~0ull, 0, 0, 0);
		*(volatile u32 *)OUTSIDE = *(volatile u32 *)(OUTSIDE + 4);
		/* A page that the guest has not had yet, until it has come to the end of its RAM. */
		*(volatile u8 *)fresh = 1;
		fresh = fresh + PAGE_SIZE < OUTSIDE ? fresh + PAGE_SIZE : RAM;
	}
}
