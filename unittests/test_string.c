/* SPDX-License-Identifier: MIT */
/* lib/string.c under other names, beside the C library's functions of the same meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define memcpy	our_memcpy
#define memmove our_memmove
#define memset	our_memset
#define memcmp	our_memcmp
#define strlen	our_strlen
#define strnlen our_strnlen
#include "lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 37 + 1);
}

/* Any length, any alignment, any overlap: the same bytes as the C library's, and no others. */
static void test_copies(void **state)
{
	uint8_t ours[96], theirs[96], other[40];

	(void)state;
	for (size_t len = 0; len < 40; len++) {
		for (size_t d = 0; d < 50; d++) {
			const size_t s = 25;

			fill(ours, 96);
			fill(theirs, 96);
			assert_ptr_equal(our_memmove(ours + d, ours + s, len), ours + d);
			memmove(theirs + d, theirs + s, len);
			assert_memory_equal(ours, theirs, 96);

			our_memset(ours + d, 0x1a5, len);
			memset(theirs + d, 0x1a5, len);
			assert_memory_equal(ours, theirs, 96);

			fill(other, len);
			assert_ptr_equal(our_memcpy(ours + d, other, len), ours + d);
			memcpy(theirs + d, other, len);
			assert_memory_equal(ours, theirs, 96);
		}
	}
}

/* The first different byte decides, as unsigned, wherever it stands; nothing beyond is read. */
static void test_comparisons(void **state)
{
	(void)state;
	for (size_t len = 0; len < 40; len++) {
		uint8_t *a = malloc(len ? len : 1), *b = malloc(len ? len : 1);

		fill(a, len);
		fill(b, len);
		assert_int_equal(our_memcmp(a, b, len), 0);
		for (size_t at = 0; at < len; at++) {
			a[at] = 0x80;
			b[at] = 0x7f;
			if (at + 1 < len)
				b[at + 1] ^= 0xff;
			assert_true(our_memcmp(a, b, len) > 0 && our_memcmp(b, a, len) < 0);
			fill(a, len);
			fill(b, len);
		}
		free(a);
		free(b);
	}
}

/* Strings measure as in C, and no further than asked. */
static void test_lengths(void **state)
{
	static const char *const texts[] = { "", "a", "abc", "\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(our_strlen(texts[i]), strlen(texts[i]));
		for (size_t max = 0; max < 5; max++)
			assert_int_equal(our_strnlen(texts[i], max), strnlen(texts[i], max));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
