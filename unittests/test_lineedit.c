/* SPDX-License-Identifier: MIT */
/* lib/lineedit.c: what keys do to the line, and that a terminal that shows what it says shows the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/lineedit.h"
#include "unittests/seed.h"

#define PROMPT	"p> "
#define COLUMNS 80

static struct line_editor e;

/* One row of a terminal, as far as the editor uses it. */
static char row[COLUMNS + 1];
static size_t column;
static unsigned int bells, row_ends;

static size_t number_at(const char **p)
{
	char *end;
	size_t n = strtoul(*p, &end, 10);

	*p = end;
	return n;
}

static void terminal(const char *p, size_t len)
{
	const char *end = p + len;
	size_t n;

	while (p < end) {
		char c = *p++;

		if (c == '\a') {
			bells++;
		} else if (c == '\r') {
			column = 0;
		} else if (c == '\n') {
			row_ends++;
			memset(row, ' ', COLUMNS);
		} else if (c == '\x1b') {
			assert_int_equal(*p++, '[');
			n = number_at(&p);
			if (*p == 'K') {
				memset(row + column, ' ', COLUMNS - column);
			} else {
				assert_int_equal(*p, 'D');
				assert_in_range(n, 1, column);
				column -= n;
			}
			p++;
		} else {
			assert_in_range(c, ' ', '~');
			assert_in_range(column, 0, COLUMNS - 1);
			row[column++] = c;
		}
	}
	assert_ptr_equal(p, end);
}

static void check_shown(void)
{
	char want[COLUMNS + 1];

	memset(want, ' ', COLUMNS);
	want[COLUMNS] = 0;
	memcpy(want, PROMPT, strlen(PROMPT));
	memcpy(want + strlen(PROMPT), e.text, e.len);
	assert_string_equal(row, want);
	assert_int_equal(column, strlen(PROMPT) + e.cursor);
}

static enum line_state key(uint8_t k)
{
	enum line_state state = line_key(&e, k);

	assert_in_range(e.show_len, 0, sizeof(e.show));
	terminal(e.show, e.show_len);
	assert_int_equal(strlen(e.text), e.len);
	assert_in_range(e.cursor, 0, e.len);
	if (state == LINE_OPEN)
		check_shown();
	return state;
}

static enum line_state keys(const char *text)
{
	enum line_state state = LINE_OPEN;

	for (; *text; text++)
		state = key((uint8_t)*text);
	return state;
}

static void next_line(void)
{
	line_next(&e);
	terminal(e.show, e.show_len);
	check_shown();
}

static void enter(const char *text)
{
	assert_int_equal(keys(text), LINE_OPEN);
	assert_int_equal(key('\r'), LINE_COMPLETE);
	next_line();
}

static int start(void **state)
{
	(void)state;
	memset(row, ' ', COLUMNS);
	row[COLUMNS] = 0;
	column = 0;
	bells = row_ends = 0;
	line_init(&e, PROMPT);
	next_line();
	return 0;
}

/* Each row: keys, the line that they make, where the cursor stands in it, and how often the bell rings. */
static void test_editing(void **state)
{
	static const struct {
		const char *keys, *text;
		size_t cursor;
		unsigned int bells;
	} cases[] = {
		{ "abc", "abc", 3, 0 },
		{ "abc\x02X", "abXc", 3, 0 },
		{ "abc\x01X", "Xabc", 1, 0 },
		{ "abc\x01\x05X", "abcX", 4, 0 },
		{ "abc\x01\x06X", "aXbc", 2, 0 },
		{ "abc\x7f", "ab", 2, 0 },
		{ "abc\x08", "ab", 2, 0 },
		{ "\x7f", "", 0, 1 },
		{ "abc\x01\x7f", "abc", 0, 1 },
		{ "abc\x01\x04", "bc", 0, 0 },
		{ "abc\x04", "abc", 3, 1 },
		{ "one two\x17", "one ", 4, 0 },
		{ "one  two  \x17", "one  ", 5, 0 },
		{ "one two\x01\x17", "one two", 0, 1 },
		{ "abc\x02\x15", "c", 0, 0 },
		{ "abc\x02\x0b", "ab", 2, 0 },
		{ "abc\x0b", "abc", 3, 1 },
		{ "\x01", "", 0, 1 },
		{ "\x06", "", 0, 1 },
		{ "\x02", "", 0, 1 },
		{ "abc\x0c", "abc", 3, 0 },
		{ "abc\x1b[D\x1b[DX", "aXbc", 2, 0 },
		{ "abc\x1b[D\x1b[CX", "abcX", 4, 0 },
		{ "abc\x1b[HX\x1b[FY", "XabcY", 5, 0 },
		{ "abc\x1bOHX\x1bOFY", "XabcY", 5, 0 },
		{ "abc\x1b[1~X\x1b[4~Y", "XabcY", 5, 0 },
		{ "abc\x1b[H\x1b[3~", "bc", 0, 0 },
		{ "ab\x1b[15~c", "abc", 3, 1 },	 /* F5 */
		{ "ab\x1b[1;5Dc", "abc", 3, 1 }, /* longer than any that is known */
		{ "ab\x1bxc", "abc", 3, 1 },	 /* Alt-X */
		{ "ab\x1b\x1b[D"
		  "c",
		  "acb", 2, 1 }, /* Escape, then an arrow */
		{ "ab\x1b[\x01"
		  "c",
		  "cab", 1, 1 }, /* broken off by a control character */
		{ "a\tb\x80\xff\x1d"
		  "c",
		  "abc", 3, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(state);
		keys(cases[i].keys);
		assert_string_equal(e.text, cases[i].text);
		assert_int_equal(e.cursor, cases[i].cursor);
		assert_int_equal(bells, cases[i].bells);
	}
}

/* CR, LF and both together end a line once; two of one kind are two lines. */
static void test_enter(void **state)
{
	(void)state;
	assert_int_equal(keys("ab\r"), LINE_COMPLETE);
	assert_string_equal(e.text, "ab");
	next_line();
	assert_int_equal(key('\n'), LINE_OPEN);
	assert_int_equal(keys("c\n"), LINE_COMPLETE);
	next_line();
	assert_int_equal(key('\n'), LINE_COMPLETE);
	next_line();
	assert_int_equal(key('\r'), LINE_COMPLETE);
	next_line();
	assert_int_equal(key('\r'), LINE_COMPLETE);
	assert_int_equal(row_ends, 5);
}

/* A full line takes no more, anywhere, and loses nothing. */
static void test_full(void **state)
{
	char want[LINE_LEN + 1];

	(void)state;
	for (size_t i = 0; i < LINE_LEN; i++) {
		want[i] = (char)('a' + i % 26);
		key((uint8_t)want[i]);
	}
	want[LINE_LEN] = 0;
	assert_int_equal(bells, 0);
	key('X');
	key(1);
	key('Y');
	assert_int_equal(bells, 2);
	assert_string_equal(e.text, want);
}

/* Ctrl-C gives the line up: nothing of it is done or remembered. */
static void test_cancel(void **state)
{
	(void)state;
	enter("old");
	keys("half\x03");
	assert_string_equal(e.text, "");
	keys("\x10");
	assert_string_equal(e.text, "old");
}

/* Older and newer lines; what was begun comes back; blank lines and repetitions are not kept. */
static void test_history(void **state)
{
	(void)state;
	keys("\x10");
	assert_int_equal(bells, 1);
	enter("one");
	enter("two");
	enter("two");
	enter("");
	enter("  ");
	keys("draft\x1b[A");
	assert_string_equal(e.text, "two");
	keys("\x1b[A");
	assert_string_equal(e.text, "one");
	keys("\x1b[A");
	assert_string_equal(e.text, "one");
	assert_int_equal(bells, 2);
	keys("!\x1b[B");
	assert_string_equal(e.text, "two");
	keys("\x1b[B");
	assert_string_equal(e.text, "draft");
	keys("\x1b[B");
	assert_string_equal(e.text, "draft");
	assert_int_equal(bells, 3);
	keys("\x1b[A\x1b[A");
	assert_string_equal(e.text, "one"); /* as it was entered */
}

/* As many as are kept, and no older one. */
static void test_history_full(void **state)
{
	char line[8] = "line 00";

	(void)state;
	for (unsigned int i = 0; i < LINE_HISTORY + 5; i++) {
		line[5] = (char)('0' + i / 10);
		line[6] = (char)('0' + i % 10);
		enter(line);
	}
	for (unsigned int i = 0; i < LINE_HISTORY; i++)
		key(0x10);
	assert_int_equal(bells, 0);
	assert_string_equal(e.text, "line 05");
	key(0x10);
	assert_int_equal(bells, 1);
}

/* Any bytes: the terminal always shows the line, and the line is always what inserting and deleting make it. */
static void test_garbage(void **state)
{
	static const char often[] = "abc \x01\x02\x05\x06\x08\x0b\x10\x0e\x15\x17\x7f\x1b[ADC~O3";

	(void)state;
	for (unsigned int i = 0; i < 2000000; i++) {
		uint8_t k = seed_below(4) ? (uint8_t)often[seed_below(sizeof(often) - 1)]
					  : (uint8_t)seed_below(256);

		if (key(k) == LINE_COMPLETE)
			next_line();
	}
	assert_true(bells && row_ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_editing, start),
		cmocka_unit_test_setup(test_enter, start),
		cmocka_unit_test_setup(test_full, start),
		cmocka_unit_test_setup(test_cancel, start),
		cmocka_unit_test_setup(test_history, start),
		cmocka_unit_test_setup(test_history_full, start),
		cmocka_unit_test_setup(test_garbage, start),
	};

	seed_start(7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
