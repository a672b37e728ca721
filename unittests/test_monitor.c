/* SPDX-License-Identifier: MIT */
/* boot/monitor.c and monitor_commands.c: what is typed is done, or goes to the guest that it is for, and nowhere else. */
#include "unittests/monitor.h"

static void type(const char *text)
{
	memcpy(keys + nr_keys, text, strlen(text));
	nr_keys += strlen(text);
}

/* Turns until all is taken, each of which asks for the next one if there is more. */
static void turns(void)
{
	for (unsigned int i = 0; console_has_input(); i++) {
		unsigned int before = asked;

		assert_in_range(i, 0, 1000);
		monitor_turn();
		assert_false(held);
		assert_int_equal(asked - before, console_has_input());
	}
}

static void typed(const char *text)
{
	printed[0] = did[0] = 0;
	type(text);
	turns();
}

/* The monitor is begun once; a test leaves it with input for itself. */
static int start(void **state)
{
	(void)state;
	typed("\x03");
	for (unsigned int nr = 0; nr < GUESTS; nr++) {
		vms[nr].has_ended = false;
		vms[nr].options = options[nr];
		there[nr] = &vms[nr];
		spin_init(&vms[nr].lock, LOCK_VM);
	}
	memset(got, 0, sizeof(got));
	got_room = sizeof(got[0]) - 1;
	nr_keys = at_key = 0;
	nr_stops = nr_ends = asked = 0;
	printed[0] = did[0] = 0;
	return 0;
}

static void demand_record(const char *command, const char *result, const char *input)
{
	char want[256];

	snprintf(want, sizeof(want),
		 "@monitor {\"command\":\"%s\",\"result\":\"%s\",\"input\":%s}\n", command, result,
		 input);
	assert_non_null(strstr(printed, want));
}

/* Each row: a line, what it does, and how that went. */
static void test_commands(void **state)
{
	static const struct {
		const char *line, *did, *result;
	} cases[] = {
		{ "vms", "vms:;", "done" },
		{ "  vms  ", "vms:  ;", "done" },
		{ "start b", "start: b;", "done" },
		{ "map a 0x10", "map: a 0x10;", "done" },
		{ "exits", "exits:;", "done" },
		{ "surface x", "surface: x;", "done" },
		{ "trace on", "trace: on;", "done" },
		{ "expose idt", "expose: idt;", "done" },
		{ "stop c", "stop: c;", "done" },
		{ "mem", "mem;", "done" },
		{ "asi", "asi;", "done" },
		{ "crossings", "crossings;", "done" },
		{ "bench", "bench;", "done" },
		{ "help", "", "done" },
		{ "", "", "done" },
		{ "mem now", "", "refused" },
		{ "quit now", "", "refused" },
		{ "vm", "", "unknown" },
		{ "vmss", "", "unknown" },
		{ "VMS", "", "unknown" },
		{ "input", "", "refused" },
		{ "input z", "", "refused" },
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "%s\r", cases[i].line);
		typed(line);
		assert_string_equal(did, cases[i].did);
		demand_record(cases[i].line, cases[i].result, "null");
	}
	assert_int_equal(nr_stops + nr_ends, 0);
	typed("help\r");
	assert_non_null(strstr(printed, "  quit "));
}

/* One that refuses is told apart, and a line with quotes is a record still. */
static void test_records(void **state)
{
	(void)state;
	typed("\"x\\\r");
	demand_record("\\\"x\\\\", "unknown", "null");
}

/* Several lines at once are several turns; when others are making VMs, nothing is lost either. */
static void test_ahead(void **state)
{
	(void)state;
	busy = true;
	type("mem\rasi\rv");
	for (unsigned int i = 0; i < 5; i++)
		monitor_turn();
	assert_int_equal(asked, 5);
	assert_string_equal(did, "");
	busy = false;
	monitor_turn();
	assert_string_equal(did, "mem;");
	turns();
	typed("ms\r");
	assert_string_equal(did, "vms:;");
}

static void test_lost(void **state)
{
	(void)state;
	lost = true;
	typed("x");
	assert_non_null(strstr(printed, "input was lost"));
	typed("y");
	assert_null(strstr(printed, "input was lost"));
}

/* To a guest and back, by command and by key; its text is shown at once just meanwhile. */
static void test_switch(void **state)
{
	(void)state;
	typed("\x1d");
	demand_record("^]", "done", "\"a\""); /* the first that runs */
	typed("x\x1d");
	demand_record("^]", "done", "null");
	typed("input b\r");
	demand_record("input b", "done", "\"b\"");
	assert_true(attached[1] && !attached[0]);
	typed("quit\r\x03\x1b[A");
	assert_string_equal(printed, "");
	typed("\x1dmem\r");
	assert_false(attached[1]);
	assert_string_equal(did, "mem;");
	typed("\x1dz");
	demand_record("^]", "done", "\"b\""); /* the last one */
	typed("\x1d");
	assert_string_equal(got[0], "x");
	assert_string_equal(got[1], "quit\r\x03\x1b[Az");
	assert_string_equal(got[2], "");
	assert_int_equal(nr_ends, 0);
}

/* A half line of the monitor's is there still when one comes back. */
static void test_half_a_line(void **state)
{
	(void)state;
	typed("me\x1dto b\x1dm\r");
	assert_string_equal(did, "mem;");
}

/* One that does not read: said once, until it reads again. */
static void test_full(void **state)
{
	(void)state;
	typed("input c\r");
	got_room = 3;
	typed("abcde");
	assert_string_equal(got[2], "abc");
	assert_non_null(strstr(printed, "c does not read"));
	typed("f");
	assert_string_equal(printed, "");
	got_room = 5;
	typed("gh");
	assert_string_equal(got[2], "abcgh");
	typed("i");
	assert_non_null(strstr(printed, "c does not read"));
	typed("\x1d");
	demand_record("^]", "done", "null");
}

/* One that has ended, or been destroyed: what was meant for it is shown to nobody and done by nobody. */
static void test_gone(void **state)
{
	(void)state;
	typed("input a\r");
	vms[0].has_ended = true;
	typed("pass");
	assert_non_null(strstr(printed, "a has ended"));
	there[0] = NULL;
	typed("word\rquit\r");
	assert_null(strstr(printed, "word"));
	assert_string_equal(did, "");
	typed("\x1d");
	demand_record("^]", "done", "null");
	typed("input a\r");
	demand_record("input a", "refused", "null");
	assert_int_equal(nr_ends, 0);
}

static void test_nobody_runs(void **state)
{
	(void)state;
	typed("input b\r\x1d"); /* it is the one typed to last */
	for (unsigned int nr = 0; nr < GUESTS; nr++)
		vms[nr].has_ended = true;
	typed("input b\r");
	demand_record("input b", "refused", "null");
}

static void test_audit(void **state)
{
	uint64_t before = monitor_violations();

	(void)state;
	typed("audit\r");
	assert_int_equal(monitor_violations(), before);
	assert_int_equal(nr_stops, 0);
	found = 3;
	typed("audit\r");
	found = 0;
	assert_int_equal(monitor_violations(), before + 3);
	assert_int_equal(nr_stops, 100);
}

/* Keys at random: every byte goes to exactly one side, and no guest gets what another was typed. */
static void test_garbage(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t r = seed_below(40);

		keys[0] = r == 0 ? 0x1d : r == 1 ? '\r' : (uint8_t)seed_below(256);
		/* No "quit" by chance: that comes last. */
		if (keys[0] == 'q' || keys[0] == 0x10)
			keys[0] = ' ';
		at_key = 0;
		nr_keys = 1;
		printed[0] = did[0] = 0;
		memset(got, 0, sizeof(got));
		turns();
		assert_int_equal(nr_ends, 0);
	}
	typed("\x03");
	if (strstr(printed, "vestibule> ") == NULL)
		typed("\x1d");
}

/* All guests end, and behind it nothing is done any more. */
static void test_quit(void **state)
{
	(void)state;
	there[1] = NULL;
	type("quit\rmem\r");
	monitor_turn();
	monitor_turn();
	demand_record("quit", "done", "null");
	assert_int_equal(nr_stops, 2);
	assert_int_equal(nr_ends, 1);
	assert_string_equal(did, "");
	assert_int_equal(asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_commands, start),
		cmocka_unit_test_setup(test_records, start),
		cmocka_unit_test_setup(test_ahead, start),
		cmocka_unit_test_setup(test_lost, start),
		cmocka_unit_test_setup(test_switch, start),
		cmocka_unit_test_setup(test_half_a_line, start),
		cmocka_unit_test_setup(test_full, start),
		cmocka_unit_test_setup(test_gone, start),
		cmocka_unit_test_setup(test_nobody_runs, start),
		cmocka_unit_test_setup(test_audit, start),
		cmocka_unit_test_setup(test_garbage, start),
		cmocka_unit_test_setup(test_quit, start),
	};

	seed_start(3);
	monitor_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
