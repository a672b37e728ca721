/* SPDX-License-Identifier: MIT */
/* lib/symbol.c over tables made here, and the whole of lib/panic.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* The source itself, for its static flag. */
#include "lib/panic.c"
#include <string.h>

#define BASE 0xffffffff80000000UL

uint32_t symbol_table_count;
uint32_t symbol_table_addresses[8];
uint32_t symbol_table_names[8];
char symbol_table_strings[64];

static char printed[4096];
static jmp_buf stopped;
static unsigned long readable_from, readable_to;

void console_write(const char *text, size_t len)
{
	size_t have = strlen(printed);

	assert_true(have + len < sizeof(printed));
	memcpy(printed + have, text, len);
	printed[have + len] = '\0';
}

_Bool panic_can_read(unsigned long hva)
{
	return hva >= readable_from && hva + 8 <= readable_to;
}

void panic_context(void)
{
}

void panic_stop(void)
{
	longjmp(stopped, 1);
}

static void table_make(uint32_t n, const uint32_t *addresses, const char *const *names)
{
	uint32_t at = 0;

	symbol_table_count = n;
	for (uint32_t i = 0; i < n; i++) {
		symbol_table_addresses[i] = addresses[i];
		symbol_table_names[i] = at;
		memcpy(symbol_table_strings + at, names[i], strlen(names[i]) + 1);
		at += (uint32_t)strlen(names[i]) + 1;
	}
}

/* For every table size, each address finds the last symbol at or below it, as a scan does, and all up to the next one. */
static void test_lookup_against_scan(void **state)
{
	static const uint32_t addresses[] = { 0x10, 0x20, 0x20, 0x31, 0x50, 0x51, 0x60, 0x70 };
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

	(void)state;
	for (uint32_t n = 0; n <= 8; n++) {
		table_make(n, addresses, names);
		for (uint64_t at = 0; at < 0x80; at++) {
			const char *want = NULL, *got;
			uint64_t want_offset = 0, offset = 0, next = 0;
			struct symbol s;

			/* The last entry is the end and no symbol. */
			for (uint32_t i = 0; n && i < n - 1 && at < addresses[n - 1]; i++) {
				if (addresses[i] <= at) {
					want = names[i];
					want_offset = at - addresses[i];
					next = addresses[i + 1];
				}
			}
			got = symbol_lookup(BASE + at, &offset);
			assert_int_equal(got != NULL, want != NULL);
			assert_int_equal(symbol_holding(BASE + at, &s), want != NULL);
			if (got) {
				assert_string_equal(got, want);
				assert_int_equal(offset, want_offset);
				assert_int_equal(s.addr + s.len, BASE + next);
			}
		}
	}
}

/* No address outside the image has a name, not even where subtracting the base wraps. */
static void test_lookup_outside(void **state)
{
	static const uint32_t addresses[] = { 0, 0xffffffff };
	static const char *const names[] = { "image", "end" };
	uint64_t offset;

	(void)state;
	table_make(2, addresses, names);
	assert_non_null(symbol_lookup(BASE, &offset));
	assert_non_null(symbol_lookup(UINT64_MAX, &offset));
	assert_null(symbol_lookup(BASE - 1, &offset));
	assert_null(symbol_lookup(0, &offset));
	assert_null(symbol_lookup(0x12345678, &offset));
}

/* panic_at() as a trap would call it, in a machine that has not panicked before. */
static void panic_from(unsigned long rip, unsigned long rbp)
{
	printed[0] = '\0';
	panicking = false;
	if (!setjmp(stopped))
		panic_at(rip, rbp, "why");
}

static void assert_begins(const char *text, const char *with)
{
	assert_non_null(text);
	assert_memory_equal(text, with, strlen(with));
}

/*
 * A backtrace ends, without reading further, at an unreadable, odd, null or repeated frame
 * and after 24 frames; a return address is named by the call before it.
 */
static void test_backtrace_ends(void **state)
{
	static const uint32_t addresses[] = { 0x1000, 0x2000, 0x3000 };
	static const char *const names[] = { "caller", "next", "end" };
	static unsigned long frames[64][2];
	unsigned int lines = 0;

	(void)state;
	table_make(3, addresses, names);
	readable_from = (unsigned long)frames;
	readable_to = readable_from + sizeof(frames);
	for (int i = 0; i < 64; i++) {
		frames[i][0] = (unsigned long)frames[i + 1 < 64 ? i + 1 : 0];
		frames[i][1] = BASE + 0x2000; /* behind the last call of "caller" */
	}

	panic_from(BASE + 0x1004, (unsigned long)frames);
	for (const char *p = printed; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1 + 24 + 1);
	assert_begins(printed, "panic: why\n"
			       "  #0  0xffffffff80001004 caller+0x4\n"
			       "  #1  0xffffffff80002000 caller+0x1000\n"
			       "  #2  ");
	assert_begins(strchr(printed, '@'), "@panic {\"reason\":\"why\",\"rip\":\"caller+0x4\"}\n");

	for (int end = 0; end < 5; end++) {
		frames[0][0] = end == 0	  ? 0
			       : end == 1 ? (unsigned long)frames + 4
			       : end == 2 ? (unsigned long)frames
			       : end == 3 ? readable_to - 8
					  : 0xdead0000;
		panic_from(0x1234, (unsigned long)frames);
		assert_string_equal(printed, "panic: why\n"
					     "  #0  0x0000000000001234 0x1234\n"
					     "  #1  0xffffffff80002000 caller+0x1000\n"
					     "@panic {\"reason\":\"why\",\"rip\":\"0x1234\"}\n");
	}
}

/*
 * A panic prints the reason, then a record that is valid JSON however the reason reads,
 * then stops; a second one prints nothing more.
 */
static void test_panic(void **state)
{
	char reason[600];
	const char *record;

	(void)state;
	symbol_table_count = 0;
	readable_from = readable_to = 0;
	memset(reason, '"', sizeof(reason));
	memcpy(reason, "it broke", 8);
	reason[sizeof(reason) - 1] = '\0';

	panicking = false;
	printed[0] = '\0';
	if (!setjmp(stopped))
		panic("%s", reason);
	assert_begins(printed, "panic: it broke\"\"");
	record = strchr(printed, '@');
	assert_begins(record, "@panic {\"reason\":\"it broke\\\"\\\"");
	assert_string_equal(record + strlen(record) - 3, "\"}\n");

	printed[0] = '\0';
	if (!setjmp(stopped))
		panic("again");
	assert_string_equal(printed, "");
}

/* By its whole name, with what lies up to the next; of two the first; the last entry is the end and no symbol. */
static void test_find(void **state)
{
	static const uint32_t addresses[] = { 0x10, 0x20, 0x28, 0x31, 0x50 };
	static const char *const names[] = { "vm", "vms", "x", "vms", "end" };
	struct symbol s;

	(void)state;
	table_make(5, addresses, names);
	assert_true(symbol_find("vms", 3, &s));
	assert_int_equal(s.addr, BASE + 0x20);
	assert_int_equal(s.len, 8);
	assert_string_equal(s.name, "vms");
	assert_true(symbol_find("vms", 2, &s));
	assert_int_equal(s.addr, BASE + 0x10);
	assert_false(symbol_find("v", 1, &s));
	assert_false(symbol_find("", 0, &s));
	assert_false(symbol_find("end", 3, &s));
	table_make(0, addresses, names);
	assert_false(symbol_find("vm", 2, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),	       cmocka_unit_test(test_lookup_against_scan),
		cmocka_unit_test(test_lookup_outside), cmocka_unit_test(test_backtrace_ends),
		cmocka_unit_test(test_panic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
