/* SPDX-License-Identifier: MIT */
/* vmm/audit.c: when a step is due, what is summed up, and that nothing happens when none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/tsc.h"
#include "lib/log.h"
#include "vmm/audit.h"

#define STEPS 3 /* of a walk: two of the address spaces, one of EPT */

uint64_t fake_tsc, fake_xcr0, fake_dr6;
static unsigned int nr_steps, lines;
static uint64_t bad_step; /* the step that finds something; 0: none */

uint64_t tsc_khz(void)
{
	return 1000;
}

const char *asi_experiment(void)
{
	return "";
}

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
	lines++;
}

bool asi_audit_step(struct asi_audit_walk *w)
{
	nr_steps++;
	fake_tsc += 10;
	w->sum.leaves += 50;
	w->sum.violations += nr_steps == bad_step;
	return w->sum.leaves == 50 * (STEPS - 1);
}

bool ept_audit_step(struct ept_audit_walk *w)
{
	nr_steps++;
	assert_int_equal(nr_steps % STEPS, 0); /* behind the spaces */
	fake_tsc += 13;
	w->sum.leaves = 7;
	w->sum.violations += nr_steps == bad_step;
	return true;
}

static int reset(void **state)
{
	(void)state;
	nr_steps = lines = 0;
	bad_step = 0;
	fake_tsc = 5000;
	return 0;
}

static void test_off(void **state)
{
	struct audit_timer t;

	(void)state;
	audit_timer_start(&t, 0);
	for (fake_tsc = 0; fake_tsc < 1000000; fake_tsc += 1000)
		audit_turn(&t);
	audit_timer_report(&t);
	assert_true(nr_steps == 0 && lines == 0 && !audit_violations(&t));
	assert_false(audit_is_due(&t));
	audit_timer_start(&t, ~0UL);
	audit_turn(&t);
	assert_int_equal(nr_steps, 0);
	bad_step = 1;
	assert_int_equal(audit_report("boot"), 1);
	bad_step = 2 * STEPS; /* of the second walk, in EPT */
	assert_int_equal(audit_report("end"), 1);
	assert_true(lines > 0 && nr_steps == 2 * STEPS);
}

/* A step a turn while a walk goes on; the next walk when the period is over, counted from begin to begin. */
static void test_period(void **state)
{
	struct audit_timer t;

	(void)state;
	audit_timer_start(&t, 10); /* 10,000 ticks */
	for (unsigned int turn = 0; turn < 20; turn++, fake_tsc += 1000) {
		unsigned int before = nr_steps;
		bool due = audit_is_due(&t);

		/* Who rests until then misses nothing, and does not rest while a walk goes on. */
		assert_int_equal(due, audit_timer_next(&t) <= fake_tsc);
		audit_turn(&t);
		assert_int_equal(nr_steps, before + due);
	}
	assert_int_equal(nr_steps, 2 * STEPS);
	assert_true(t.walks == 2 && !t.walking && t.sum.steps == 2 * STEPS && t.sum.ticks == 66 &&
		    t.sum.longest == 13 && t.sum.spaces.sum.leaves == 100 &&
		    t.sum.ept.sum.leaves == 7);
	audit_turn(&t);
	assert_true(t.walking && nr_steps == 2 * STEPS + 1);
	audit_timer_report(&t);
	assert_true(lines > 0 && t.walks == 2);
}

/* A violation shows after the very step, and stays. */
static void test_violation(void **state)
{
	struct audit_timer t;

	(void)state;
	bad_step = STEPS;
	audit_timer_start(&t, 1);
	for (unsigned int i = 1; i < STEPS; i++)
		audit_turn(&t);
	assert_int_equal(audit_violations(&t), 0);
	audit_turn(&t);
	assert_int_equal(audit_violations(&t), 1);
	for (unsigned int i = 0; i < 10; i++, fake_tsc += 1000)
		audit_turn(&t);
	assert_int_equal(audit_violations(&t), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_off, reset),
		cmocka_unit_test_setup(test_period, reset),
		cmocka_unit_test_setup(test_violation, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
