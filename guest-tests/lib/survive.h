/* SPDX-License-Identifier: MIT */
/* What an act of a guest may not change: for tests that act at random. */
#pragma once

#include "guest-tests/lib/random.h"

/* One act with every register that C keeps across a call filled, from @state: whether none of them comes back changed. */
static inline bool survives(void (*act)(void), u64 *state)
{
	u64 rbx = random_next(state), r12 = random_next(state), r13 = random_next(state);
	u64 r14 = random_next(state), r15 = random_next(state);
	u64 b = rbx, c = r12, d = r13, e = r14, f = r15;

	asm volatile("" : "+b"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
	act();
	asm volatile("" : "+b"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
	return b == rbx && c == r12 && d == r13 && e == r14 && f == r15;
}
