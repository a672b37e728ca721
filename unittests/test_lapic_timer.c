/* SPDX-License-Identifier: MIT */
/* vmm/lapic_timer.c and timer.c: the three modes of the timer against a clock that the test moves. */
#include "unittests/lapic.h"
#include "unittests/seed.h"
#include "vmm/cpuid.h"

enum { TIMER = 0x61 };

#define PERIODIC 0x20000U
#define DEADLINE 0x40000U
#define MASKED	 0x10000U

static void start(uint32_t lvt, uint32_t divide)
{
	lapic_start();
	put(LAPIC_SVR, 0x1ff);
	put(LAPIC_DCR, divide);
	put(LAPIC_LVT_TIMER, lvt | TIMER);
}

/* The vector that comes when time has gone on, already ended. */
static int after(uint64_t ticks)
{
	int vector;

	fake_tsc += ticks;
	vcpu_check_timer(V, fake_tsc);
	vector = delivered();
	if (vector >= 0)
		put(LAPIC_EOI, 0);
	return vector;
}

static void test_one_shot(void **state)
{
	static const struct {
		uint32_t dcr, divisor;
	} cases[] = { { 0, 2 },	 { 1, 4 },  { 2, 8 },	 { 3, 16 },
		      { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t begin, d = cases[i].divisor;

		start(0, cases[i].dcr);
		assert_int_equal(V->timer_deadline, 0);
		V->events.due = ~0UL;
		put(LAPIC_TMICT, 1000);
		begin = fake_tsc;
		assert_int_equal(V->events.due, 0);
		assert_int_equal(V->timer_deadline, begin + 1000 * d);
		assert_int_equal(get(LAPIC_TMCCT), 1000);
		assert_int_equal(after(999 * d), -1);
		assert_int_equal(get(LAPIC_TMCCT), 1);
		assert_int_equal(after(d), TIMER);
		assert_int_equal(get(LAPIC_TMCCT), 0);
		assert_int_equal(V->timer_deadline, 0);
		assert_int_equal(after(1000000), -1);
		assert_int_equal(get(LAPIC_TMICT), 1000);
	}
	put(LAPIC_TMICT, 0xffffffff);
	put(LAPIC_TMICT, 0);
	assert_int_equal(get(LAPIC_TMCCT), 0);
	assert_int_equal(V->timer_deadline, 0);
}

static void test_periodic(void **state)
{
	(void)state;
	start(PERIODIC, 11);
	put(LAPIC_TMICT, 10000);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(after(9999), -1);
		assert_int_equal(after(1), TIMER);
		assert_int_equal(get(LAPIC_TMCCT), 10000);
	}
	/* Many at once are one, in step with the others. */
	assert_int_equal(after(1000000000003), TIMER);
	assert_int_equal(after(0), -1);
	assert_int_equal(get(LAPIC_TMCCT), 9997);
	put(LAPIC_LVT_TIMER, PERIODIC | MASKED | TIMER);
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(after(25000), -1);
	put(LAPIC_LVT_TIMER, PERIODIC | TIMER);
	assert_int_equal(after(0), -1);
	assert_int_equal(get(LAPIC_TMCCT), 4997);
	/* A period of a tick is made longer; the count is not. */
	put(LAPIC_TMICT, 1);
	assert_int_equal(get(LAPIC_TMCCT), 1);
	assert_int_equal(after(4999), -1);
	assert_int_equal(after(1), TIMER);
	assert_int_equal(after(4999), -1);
	/* From there to one-shot: the last. */
	put(LAPIC_LVT_TIMER, TIMER);
	assert_int_equal(after(1), TIMER);
	assert_int_equal(after(100000), -1);
}

static void test_masked(void **state)
{
	(void)state;
	start(MASKED, 11);
	put(LAPIC_TMICT, 1000);
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(after(400), -1);
	assert_int_equal(get(LAPIC_TMCCT), 600);
	put(LAPIC_LVT_TIMER, TIMER);
	assert_int_equal(after(600), TIMER);
	put(LAPIC_LVT_TIMER, MASKED | TIMER);
	put(LAPIC_TMICT, 1000);
	assert_int_equal(after(1000), -1);
	put(LAPIC_LVT_TIMER, TIMER);
	assert_int_equal(after(1000), -1);
	/* Its vector is illegal: an error. */
	put(LAPIC_LVT_TIMER, 3);
	put(LAPIC_TMICT, 1000);
	assert_int_equal(after(1000), -1);
	put(LAPIC_ESR, 0);
	assert_int_equal(get(LAPIC_ESR), 0x40);
	/* Off by SVR, and off altogether. */
	put(LAPIC_LVT_TIMER, TIMER);
	put(LAPIC_TMICT, 1000);
	put(LAPIC_SVR, 0xff);
	assert_int_equal(V->timer_deadline, 0);
	start(0, 11);
	put(LAPIC_TMICT, 1000);
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE | 0x100));
	assert_int_equal(V->timer_deadline, 0);
}

/* Another pace: the count goes on where it was. */
static void test_divide(void **state)
{
	(void)state;
	start(0, 11);
	put(LAPIC_TMICT, 1000);
	assert_int_equal(after(500), -1);
	put(LAPIC_DCR, 3);
	assert_int_equal(get(LAPIC_TMCCT), 500);
	assert_int_equal(after(500 * 16 - 1), -1);
	assert_int_equal(after(1), TIMER);
	put(LAPIC_DCR, 11);
	assert_int_equal(V->timer_deadline, 0);
}

static void test_deadline(void **state)
{
	uint64_t value;

	(void)state;
	start(0, 11);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, fake_tsc + 10));
	assert_true(lapic_rdmsr(V, MSR_TSC_DEADLINE, &value));
	assert_int_equal(value, 0);
	put(LAPIC_TMICT, 1000);
	put(LAPIC_LVT_TIMER, DEADLINE | TIMER);
	assert_int_equal(V->timer_deadline, 0);
	put(LAPIC_TMICT, 77);
	assert_int_equal(get(LAPIC_TMICT), 1000);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, fake_tsc + 10));
	assert_true(lapic_rdmsr(V, MSR_TSC_DEADLINE, &value));
	assert_int_equal(value, fake_tsc + 10);
	assert_int_equal(get(LAPIC_TMCCT), 0);
	put(LAPIC_DCR, 0);
	assert_int_equal(after(9), -1);
	assert_int_equal(after(1), TIMER);
	assert_true(lapic_rdmsr(V, MSR_TSC_DEADLINE, &value));
	assert_int_equal(value, 0);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, 1));
	assert_int_equal(after(0), TIMER);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, ~0UL));
	assert_int_equal(after(1UL << 62), -1);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, 0));
	assert_int_equal(V->timer_deadline, 0);
	assert_true(lapic_wrmsr(V, MSR_TSC_DEADLINE, fake_tsc + 10));
	put(LAPIC_LVT_TIMER, PERIODIC | TIMER);
	assert_int_equal(after(100000), -1);
}

/* The hypercall's timer beside it: whichever is first, and both at once. */
static void test_two_timers(void **state)
{
	(void)state;
	start(0, 11);
	put(LAPIC_TMICT, 1000);
	V->hc_deadline = fake_tsc + 400;
	V->hc_vector = 0x31;
	vcpu_timer_changed(V);
	assert_int_equal(V->timer_deadline, fake_tsc + 400);
	assert_int_equal(after(400), 0x31);
	assert_int_equal(V->timer_deadline, fake_tsc + 600);
	assert_int_equal(after(600), TIMER);
	put(LAPIC_TMICT, 100);
	V->hc_deadline = fake_tsc + 200;
	vcpu_timer_changed(V);
	assert_int_equal(V->timer_deadline, fake_tsc + 100);
	fake_tsc += 300;
	vcpu_check_timer(V, fake_tsc);
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(delivered(), 0x31);
	assert_int_equal(delivered(), TIMER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_shot), cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_masked),	 cmocka_unit_test(test_divide),
		cmocka_unit_test(test_deadline), cmocka_unit_test(test_two_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
