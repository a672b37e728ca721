/* SPDX-License-Identifier: MIT */
/* lib/fmt.c, and what is built on it: lib/log.c and lib/json.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/jsonlist.h"
#include "lib/log.h"
#include <string.h>

static char printed[1024];
static size_t printed_len;
static unsigned int writes;

void console_write(const char *text, size_t len)
{
	assert_true(len < sizeof(printed));
	memcpy(printed, text, len);
	printed[len] = '\0';
	printed_len = len;
	writes++;
}

/* The C library agrees, in text and in length, whatever the buffer's size. */
#define SAME(...)                                                                   \
	do {                                                                        \
		char theirs[128];                                                   \
		int want = snprintf(theirs, sizeof(theirs), __VA_ARGS__);           \
                                                                                    \
		for (size_t size = 0; size <= (size_t)want + 2; size++) {           \
			char *ours = malloc(size ? size : 1);                       \
                                                                                    \
			ours[0] = 'x';                                              \
			assert_int_equal(fmt_print(ours, size, __VA_ARGS__), want); \
			if (size == 0)                                              \
				assert_int_equal(ours[0], 'x');                     \
			else if (size > (size_t)want)                               \
				assert_string_equal(ours, theirs);                  \
			else                                                        \
				assert_true(strlen(ours) == size - 1 &&             \
					    !memcmp(ours, theirs, size - 1));       \
			free(ours);                                                 \
		}                                                                   \
	} while (0)

/* Every conversion, with every combination of flags that we have, prints as in C. */
static void test_as_the_c_library(void **state)
{
	(void)state;
	SAME("plain");
	SAME("%s", "");
	SAME("<%s|%10s|%-10s|%.2s|%10.3s|%-10.3s>", "abcd", "abcd", "abcd", "abcd", "abcd", "abcd");
	SAME("<%.*s|%*d|%-*d|%*d>", 3, "abcdef", 6, 42, 6, 42, -6, 42);
	SAME("<%.*s>", -1, "a negative precision is none");
	SAME("<%c|%3c|%-3c>", 'x', 'y', 'z');
	SAME("%d %i %d", 0, -1, INT32_MIN);
	SAME("%u %x %X %x", 4294967295U, 0xdeadbeefU, 0xdeadbeefU, 0U);
	SAME("%ld %lld %ld", INT64_MIN, (long long)INT64_MAX, -1L);
	SAME("%lu %llu %zu %lx", UINT64_MAX, (unsigned long long)UINT64_MAX, SIZE_MAX, UINT64_MAX);
	SAME("<%5d|%-5d|%05d|%05d|%-5d|%2d>", 42, 42, 42, -42, -42, 12345);
	SAME("<%016lx>", 0x1234UL);
	SAME("<%8x|%08x|%-8x|%08X>", 0xabcU, 0xabcU, 0xabcU, 0xabcU);
	SAME("%p", (void *)0x1234);
	SAME("100%%|%c%%", 'a');
}

/* A format that we do not know is shown as it is, and its argument is never touched. */
static void test_unknown_conversion(void **state)
{
	static const char *const formats[] = { "%q %s", "%", "%5", "%l", "%.3d %s", "%n", "%f" };
	char buf[32];

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const char *volatile fmt = formats[i]; /* hidden from the compiler's check */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		fmt_print(buf, sizeof(buf), fmt);
#pragma GCC diagnostic pop
		assert_string_equal(buf, formats[i]);
	}
}

/* A null string prints as a word, and "%.*s" reads no byte past its precision. */
static void test_strings_without_end(void **state)
{
	char *three = malloc(3), buf[16];
	const char *volatile none = NULL;

	(void)state;
	memcpy(three, "abc", 3);
	assert_int_equal(fmt_print(buf, sizeof(buf), "%.*s", 3, three), 3);
	assert_string_equal(buf, "abc");
	free(three);
	fmt_print(buf, sizeof(buf), "%s", none);
	assert_string_equal(buf, "(null)");
}

/* One call is one write of one line: cut if too long, no control character but its end. */
static void test_log_lines(void **state)
{
	char text[700];

	(void)state;
	writes = 0;
	log_info("n=%d", 7);
	assert_string_equal(printed, "n=7\n");
	log_error("no %s", "disk");
	assert_string_equal(printed, "error: no disk\n");
	log_info("%s", "a\n@end {}\r\x1b[2J\tz\x7f");
	assert_string_equal(printed, "a?@end {}??[2J\tz?\n");
	assert_int_equal(writes, 3);

	memset(text, 'x', sizeof(text));
	for (size_t len = 490; len < sizeof(text); len++) {
		text[len] = '\0';
		log_info("%s", text);
		assert_int_equal(printed_len, len <= 510 ? len + 1 : 511);
		assert_int_equal(strcmp(printed + printed_len - 4, "...\n") == 0, len > 510);
		log_error("%s", text);
		assert_int_equal(printed_len, len + 7 <= 510 ? len + 8 : 511);
		text[len] = 'x';
	}
}

/* What json_escape writes is ASCII without quotes or controls, and cut between escapes only. */
static void test_json_escape(void **state)
{
	static const char all[] = "a\"b\\c\n\x01\x7f\xff";
	static const char want[] = "a\\\"b\\\\c\\u000a\\u0001\\u007f\\u00ff";
	static const size_t ends[] = { 0, 1, 3, 4, 6, 7, 13, 19, 25, 31 };

	(void)state;
	for (size_t size = 1; size < sizeof(want) + 2; size++) {
		char *buf = malloc(size);
		size_t len = json_escape(buf, size, all), fits = 0;

		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			fits = ends[i] < size ? ends[i] : fits;
		assert_int_equal(len, fits);
		assert_memory_equal(buf, want, len);
		assert_int_equal(buf[len], '\0');
		free(buf);
	}
}

/* A list longer than a line is cut between items; all of them are there, in order, each record valid. */
static void test_json_list(void **state)
{
	struct json_list l;
	unsigned int first = 0;

	(void)state;
	json_list_begin(&l, "items", "@x {\"vm\":\"%s\",", "a");
	printed_len = 0;
	json_list_end(&l);
	assert_int_equal(printed_len, 0); /* nothing to print */
	for (unsigned int i = 0; i < 300; i++) {
		printed_len = 0;
		json_list_add(&l, "[%u,\"%.*s\"]", i, (int)(i % 190),
			      "12345678901234567890123456789012345678901234567890123456789012345678"
			      "9012345678901234567890"
			      "12345678901234567890123456789012345678901234567890123456789012345678"
			      "901234567890123456789012345678901234567890");
		if (!printed_len)
			continue;
		assert_true(printed_len <= 511 &&
			    strchr(printed, '\n') == printed + printed_len - 1);
		assert_int_equal(strncmp(printed, "@x {\"vm\":\"a\",\"first\":", 21), 0);
		assert_int_equal(strtoul(printed + 21, NULL, 10), first);
		assert_int_equal(strcmp(printed + printed_len - 4, "]]}\n"), 0);
		first = i;
	}
	assert_true(first > 200);
	printed_len = 0;
	json_list_end(&l);
	assert_int_equal(strtoul(printed + 21, NULL, 10), first);
	printed_len = 0;
	json_list_end(&l);
	assert_int_equal(printed_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_c_library),
		cmocka_unit_test(test_unknown_conversion),
		cmocka_unit_test(test_strings_without_end),
		cmocka_unit_test(test_log_lines),
		cmocka_unit_test(test_json_escape),
		cmocka_unit_test(test_json_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
