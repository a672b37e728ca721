/* SPDX-License-Identifier: MIT */
/* Random numbers that can be had again: the seed is printed, and SEED=n sets it. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed_state;

static inline void seed_start(uint64_t usual)
{
	const char *env = getenv("SEED");

	seed_state = env ? strtoull(env, NULL, 0) : usual;
	printf("SEED=%llu\n", (unsigned long long)seed_state);
	seed_state = seed_state ? seed_state : 1;
}

/* xorshift64*, below @limit, which is not 0. */
static inline uint64_t seed_below(uint64_t limit)
{
	seed_state ^= seed_state >> 12;
	seed_state ^= seed_state << 25;
	seed_state ^= seed_state >> 27;
	return (seed_state * 0x2545f4914f6cdd1dULL >> 1) % limit;
}

/* Damages @data in one to six places: bits, bytes, and fields that look like sizes. */
static inline void seed_damage(uint8_t *data, size_t len)
{
	static const uint32_t odd[] = { 0,    1,	  7,	      8,	  9,	      15,
					0xff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 36 };

	for (uint64_t n = 1 + seed_below(6); n; n--) {
		size_t at = seed_below(len);
		uint32_t field = odd[seed_below(sizeof(odd) / sizeof(odd[0]))];

		switch (seed_below(4)) {
		case 0:
			data[at] ^= (uint8_t)(1U << seed_below(8));
			break;
		case 1:
			data[at] = (uint8_t)seed_below(256);
			break;
		case 2:
			data[at] = (uint8_t)field;
			break;
		default:
			at &= ~(size_t)3;
			for (size_t i = 0; i < 4 && at + i < len; i++)
				data[at + i] = (uint8_t)(field >> 8 * i);
		}
	}
}
