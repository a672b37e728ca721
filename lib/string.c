/* SPDX-License-Identifier: MIT */
/*
 * Memory and string functions in plain C: words of 8 bytes, then the rest.
 *
 * GCC and clang recognise such loops and may replace them with a call to the very
 * function they stand in. The barrier() in each loop hides the pattern and costs
 * no instruction.
 */
#include <stdint.h>
#include "lib/compiler.h"
#include "lib/string.h"

/* A word of any object, at any address: x86 loads and stores unaligned ones. */
typedef uint64_t __attribute__((may_alias, aligned(1))) word_t;

#define WORD sizeof(word_t)

static void copy_up(unsigned char *d, const unsigned char *s, size_t len)
{
	for (; len >= WORD; len -= WORD, d += WORD, s += WORD) {
		*(word_t *)d = *(const word_t *)s;
		barrier();
	}
	for (; len; len--) {
		*d++ = *s++;
		barrier();
	}
}

void *memcpy(void *restrict dst, const void *restrict src, size_t len)
{
	copy_up(dst, src, len);
	return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
	unsigned char *d = (unsigned char *)dst + len;
	const unsigned char *s = (const unsigned char *)src + len;

	/* Unsigned: also true if dst lies below src, where copying upwards is safe. */
	if ((uintptr_t)dst - (uintptr_t)src >= len) {
		copy_up(dst, src, len);
		return dst;
	}
	for (; len >= WORD; len -= WORD) {
		d -= WORD;
		s -= WORD;
		*(word_t *)d = *(const word_t *)s;
		barrier();
	}
	for (; len; len--) {
		*--d = *--s;
		barrier();
	}
	return dst;
}

void *memset(void *dst, int byte, size_t len)
{
	unsigned char *d = dst;
	uint64_t word = 0x0101010101010101UL * (unsigned char)byte;

	for (; len >= WORD; len -= WORD, d += WORD) {
		*(word_t *)d = word;
		barrier();
	}
	for (; len; len--) {
		*d++ = (unsigned char)byte;
		barrier();
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *x = a, *y = b;

	/* Equal words are skipped; the bytes of the first different one decide below. */
	for (; len >= WORD && *(const word_t *)x == *(const word_t *)y; len -= WORD) {
		x += WORD;
		y += WORD;
		barrier();
	}
	for (; len; len--, x++, y++) {
		if (*x != *y)
			return *x - *y;
		barrier();
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t len = 0;

	for (; s[len]; len++)
		barrier();
	return len;
}

size_t strnlen(const char *s, size_t max)
{
	size_t len = 0;

	for (; len < max && s[len]; len++)
		barrier();
	return len;
}
