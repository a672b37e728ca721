/* SPDX-License-Identifier: MIT */
/* vmm/audit.c: when a step is due, what is summed up, and that nothing is touched when none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/tsc.h"
#include "lib/log.h"
#include "vmm/audit.h"

#define STEPS 3 /* of a walk */

uint64_t fake_tsc, fake_xcr0, fake_dr6;
static unsigned int nr_steps, lines;
static uint64_t bad_step; /* the step that finds something; 0: none */

uint64_t tsc_khz(void)
{
	return 1000;
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
	w->sum.steps++;
	w->sum.ticks += 10;
	w->sum.longest = 7 + nr_steps % 2;
	w->sum.leaves = 100;
	w->sum.violations += nr_steps == bad_step;
	return w->sum.steps == STEPS;
}

void asi_audit(struct asi_audit *out)
{
	*out = (struct asi_audit){ .violations = 2 };
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
	audit_timer_start(&t, ~0UL);
	audit_turn(&t);
	assert_int_equal(nr_steps, 0);
	assert_int_equal(audit_report("boot"), 2);
	assert_true(lines > 0);
}

/* A step a turn while a walk goes on; the next walk when the period is over, counted from begin to begin. */
static void test_period(void **state)
{
	struct audit_timer t;

	(void)state;
	audit_timer_start(&t, 10); /* 10,000 ticks */
	for (unsigned int turn = 0; turn < 20; turn++, fake_tsc += 1000)
		audit_turn(&t);
	assert_int_equal(nr_steps, 2 * STEPS);
	assert_true(t.walks == 2 && !t.walking && t.sum.steps == 2 * STEPS && t.sum.ticks == 60 &&
		    t.sum.longest == 8 && t.sum.leaves == 100);
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
	bad_step = 2;
	audit_timer_start(&t, 1);
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
