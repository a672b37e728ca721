/* SPDX-License-Identifier: MIT */
/* Bit, alignment and range helpers. Alignments are powers of two. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BIT(n)		   (1ULL << (n))
#define BITS(hi, lo)	   ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))
#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)	   ALIGN_DOWN((x) + (__typeof__(x))(a)-1, a)
#define IS_ALIGNED(x, a)   (((x) & ((__typeof__(x))(a)-1)) == 0)
#define MIN(a, b)	   ((a) < (b) ? (a) : (b))
#define MAX(a, b)	   ((a) > (b) ? (a) : (b))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

#define KiB(n) ((uint64_t)(n) << 10)
#define MiB(n) ((uint64_t)(n) << 20)
#define GiB(n) ((uint64_t)(n) << 30)

static inline uint64_t bits_get(uint64_t v, unsigned int hi, unsigned int lo)
{
	return (v & BITS(hi, lo)) >> lo;
}

/* Index of the highest set bit; @v is not 0. */
static inline unsigned int bit_highest(uint64_t v)
{
	return 63 - (unsigned int)__builtin_clzll(v);
}

/* Index of the lowest set bit; @v is not 0. */
static inline unsigned int bit_lowest(uint64_t v)
{
	return (unsigned int)__builtin_ctzll(v);
}

static inline uint32_t bits_count(uint64_t v)
{
	uint32_t n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

static inline uint64_t rotate_right(uint64_t v, unsigned int n)
{
	return v >> n | v << (-n & 63);
}

/* Whether [a, a+alen) and [b, b+blen) share a byte; no range wraps. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}
