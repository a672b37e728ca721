/* SPDX-License-Identifier: MIT */
/* lib/parse.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "lib/parse.h"
#include "lib/string.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Exactly the decimal and 0x numbers of 64 bits are numbers; a refusal leaves *out alone. */
static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "42", true, 42 },
		{ "010", true, 10 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "0x0", true, 0 },
		{ "0XfF", true, 255 },
		{ "0xffffffffffffffff", true, UINT64_MAX },
		{ "0x10000000000000000", false, 0 },
		{ "0x00000000000000000001", true, 1 },
		{ "", false, 0 },
		{ "0x", false, 0 },
		{ "x1", false, 0 },
		{ "1f", false, 0 },
		{ "0xg", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1_000", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *exact = malloc(len ? len : 1);
		uint64_t v = 77;

		memcpy(exact, cases[i].text, len);
		assert_int_equal(parse_u64(exact, len, &v), cases[i].ok);
		assert_int_equal(v, cases[i].ok ? cases[i].value : 77);
		free(exact);
	}
}

/* A line falls into its words, whatever blanks stand between and around them. */
static void test_words(void **state)
{
	static const char *const lines[] = { "a bb c=d", "  a\tbb \t c=d  ", "a\nbb\r\nc=d\n" };
	static const char *const want[] = { "a", "bb", "c=d" };

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		const char *line = lines[i];
		struct word w;

		for (size_t n = 0; n < COUNT(want); n++) {
			assert_true(parse_word(&line, &w));
			assert_true(parse_is(w, want[n]));
		}
		assert_false(parse_word(&line, &w));
		assert_false(parse_word(&line, &w));
	}
}

/* A key matches as a whole and only before '='; the value is all that follows, perhaps nothing. */
static void test_keys(void **state)
{
	static const struct {
		const char *word, *key, *value;
	} cases[] = {
		{ "mem=64", "mem", "64" }, { "mem=", "mem", "" },     { "mem=a=b", "mem", "a=b" },
		{ "mem", "mem", NULL },	   { "memo=1", "mem", NULL }, { "me=1", "mem", NULL },
		{ "=1", "mem", NULL },	   { "xmem=1", "mem", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct word w = { cases[i].word, strlen(cases[i].word) }, value = { NULL, 0 };

		assert_int_equal(parse_key(w, cases[i].key, &value), cases[i].value != NULL);
		if (cases[i].value)
			assert_true(parse_is(value, cases[i].value));
	}
}

/* Only a word with a slash and no '=' is a path: "console=/x" is an option. */
static void test_paths(void **state)
{
	(void)state;
	assert_true(parse_is_path((struct word){ "/boot/guest", 11 }));
	assert_true(parse_is_path((struct word){ "boot/guest", 10 }));
	assert_false(parse_is_path((struct word){ "guest", 5 }));
	assert_false(parse_is_path((struct word){ "name=a/b", 8 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
