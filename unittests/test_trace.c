/* SPDX-License-Identifier: MIT */
/* Rings of the trace: what is noted is what is read, whoever writes meanwhile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/layout.h"
#include "arch/trace.h"

static struct trace_ring ring;

static int begin(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	cpu_number = 5;
	trace_use(5, &ring);
	return 0;
}

static void test_fields(void **state)
{
	struct trace_event e;

	(void)state;
	fake_tsc = 0xfedcba9876543210;
	trace_note(TRACE_STOP, 0xffffffff);
	assert_true(trace_get(&ring, 0, &e));
	assert_true(e.tsc == fake_tsc);
	assert_int_equal(trace_type(&e), TRACE_STOP);
	assert_int_equal(trace_arg(&e), 0xffffffff);
	assert_int_equal(trace_cpu(&e), 5);
	assert_false(trace_get(&ring, 1, &e));
}

/* The last TRACE_EVENTS are there, what is older is not, over many laps of the 16 bits that a word has. */
static void test_laps(void **state)
{
	const uint64_t all = 3 * 0x10000 + 17;
	struct trace_event e;

	(void)state;
	for (uint64_t i = 0; i < all; i++)
		trace_put(&ring, TRACE_ENTRY, (uint32_t)i, i);
	for (uint64_t i = 0; i < all + 2; i++) {
		bool kept = i < all && i >= all - TRACE_EVENTS;

		assert_int_equal(trace_get(&ring, i, &e), kept);
		if (kept)
			assert_int_equal(e.tsc, i);
	}
}

/* A number is given out, and the event not written yet: on another CPU, or below an NMI. */
static void test_unfinished(void **state)
{
	struct trace_event e;

	(void)state;
	for (unsigned int i = 0; i < TRACE_EVENTS; i++)
		trace_put(&ring, TRACE_ENTRY, i, i);
	ring.nr++;
	assert_false(trace_get(&ring, 0, &e));		  /* is being overwritten */
	assert_false(trace_get(&ring, TRACE_EVENTS, &e)); /* by this one */
	assert_true(trace_get(&ring, 1, &e));
	trace_put(&ring, TRACE_EXIT, 7, 7); /* the NMI's own */
	assert_true(trace_get(&ring, TRACE_EVENTS + 1, &e));
	assert_int_equal(trace_arg(&e), 7);
}

static void test_crossing(void **state)
{
	struct trace_event e;

	(void)state;
	trace_crossing(true, IMAGE_BASE + 0x200123, 0, 0);
	trace_crossing(false, IMAGE_BASE + 0x7fffffff, 0xffff888000000010, 3);
	assert_int_equal(ring.nr, 3);
	assert_true(trace_get(&ring, 0, &e));
	assert_int_equal(trace_arg(&e), TRACE_BY_CALL | 0x200123);
	assert_true(trace_get(&ring, 1, &e));
	assert_int_equal(trace_arg(&e), 0x7fffffff);
	assert_true(trace_get(&ring, 2, &e));
	assert_true(e.tsc == 0xffff888000000010 && trace_arg(&e) == 3 &&
		    trace_type(&e) == TRACE_TOUCHED);
}

/* A vCPU's ring takes what happens in its own domain's space, while it is loaded. */
static void test_local(void **state)
{
	int mine, other;

	(void)state;
	trace_local(&mine, TRACE_FLUSH, 1);
	trace_load(&ring, &mine);
	assert_true(ring.tag == TRACE_TAG(5));
	trace_local(&other, TRACE_FLUSH, 1);
	trace_local(NULL, TRACE_FLUSH, 1);
	assert_int_equal(ring.nr, 0);
	trace_local(&mine, TRACE_FLUSH, 1);
	assert_int_equal(ring.nr, 1);
	trace_load(NULL, NULL);
	trace_local(&mine, TRACE_FLUSH, 1);
	assert_int_equal(ring.nr, 1);
}

static void test_off(void **state)
{
	(void)state;
	trace_use(5, NULL);
	trace_note(TRACE_STOP, 0);
	trace_crossing(false, IMAGE_BASE, 1, 1);
	assert_null(trace_of(5));
	assert_int_equal(ring.nr, 0);
}

static void test_packing(void **state)
{
	(void)state;
	fake_tsc = 1000;
	assert_int_equal(trace_duration(1000 - 77, 3), 3 << 24 | 77);
	assert_int_equal(trace_duration(1000 - (1UL << 30), 1), 1 << 24 | 0xffffff);
	assert_int_equal(trace_blocks(511, true, 512), 512 << 16 | 1 << 10 | 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fields, begin),
		cmocka_unit_test_setup(test_laps, begin),
		cmocka_unit_test_setup(test_unfinished, begin),
		cmocka_unit_test_setup(test_crossing, begin),
		cmocka_unit_test_setup(test_local, begin),
		cmocka_unit_test_setup(test_off, begin),
		cmocka_unit_test(test_packing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
