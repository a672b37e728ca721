/* SPDX-License-Identifier: MIT */
/* Numbers at random, the same from the same seed: Marsaglia, "Xorshift RNGs", 2003; multiplied as in Vigna's xorshift64*. */
#pragma once

#include "guest-tests/lib/guest.h"

#define RANDOM_MIX 0x9e3779b97f4a7c15ull

/* The state for @seed: never 0, which would stay 0. */
static inline u64 random_start(u64 seed)
{
	return seed * RANDOM_MIX | 1;
}

static inline u64 random_next(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * RANDOM_MIX;
}

/* Less than @n; the lowest bits are the poorest ones. */
static inline u64 random_below(u64 *state, u64 n)
{
	return (random_next(state) >> 20) % n;
}
