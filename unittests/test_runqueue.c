/* SPDX-License-Identifier: MIT */
/* vmm/runqueue.c: who runs next and until when, on one CPU, on threads of a core, on several cores. */
#include "unittests/runqueue.h"

static void put_to_sleep(unsigned int e, uint32_t cpu, uint64_t ticks, uint64_t wake)
{
	rq_put(&es[e], cpu, ticks, SCHED_SLEEPING, wake, RQ_NO_CPU);
}

/* Who has run least goes first, whatever the order of coming; of equals, who has come first. */
static void test_least_first(void **state)
{
	const uint64_t ticks[] = { 500, 100, 900, 100, 300 };
	const int order[] = { 1, 3, 4, 0, 2 };

	(void)state;
	machine(1, 1);
	for (unsigned int i = 0; i < COUNT(ticks); i++)
		add(i, VM('a' + i), 0);
	for (unsigned int i = 0; i < COUNT(ticks); i++) {
		assert_int_equal(pick(0, 0, NULL), i);
		put(i, 0, ticks[i]);
	}
	for (unsigned int i = 0; i < COUNT(ticks); i++) {
		assert_int_equal(pick(0, 0, NULL), order[i]);
		put((unsigned int)order[i], 0, 10000);
	}
}

/* A turn is one slice, from whenever it begins. */
static void test_slice(void **state)
{
	uint64_t end;

	(void)state;
	machine(1, 1);
	add(0, VM('a'), 0);
	add(1, VM('b'), 0);
	assert_int_equal(pick(0, 7000, &end), 0);
	assert_int_equal(end, 8000);
	put(0, 0, 1000);
	assert_int_equal(pick(0, 8005, &end), 1);
	assert_int_equal(end, 9005);
	put(1, 0, 10);
	/* Back early: the other still has run more. */
	assert_int_equal(pick(0, 8015, &end), 1);
	assert_int_equal(end, 9015);
}

/* Asleep until a time, or for ever, or until there is a reason. */
static void test_sleepers(void **state)
{
	(void)state;
	machine(1, 1);
	add(0, VM('a'), 0);
	es[1].vm = VM('b');
	es[1].wake = RQ_NEVER;
	rq_add(&es[1], 0);
	assert_int_equal(rq_next_wake(0), 0);
	assert_int_equal(pick(0, 0, NULL), 0);
	assert_int_equal(rq_next_wake(0), RQ_NEVER);
	put_to_sleep(0, 0, 100, 500);
	assert_int_equal(rq_next_wake(0), 500);
	assert_int_equal(pick(0, 499, NULL), -1);
	assert_false(rq_has_work(0, 499));
	assert_true(rq_has_work(0, 500));
	assert_int_equal(pick(0, 500, NULL), 0);
	put_to_sleep(0, 0, 100, RQ_NEVER);
	assert_false(rq_has_work(0, 501));
	has_mail[1] = true;
	assert_true(rq_has_work(0, 501));
	assert_int_equal(pick(0, 501, NULL), 1);
	/* The mail that is still there keeps it awake. */
	put_to_sleep(1, 0, 0, RQ_NEVER);
	assert_int_equal(pick(0, 502, NULL), 1);
	has_mail[1] = false;
	put_to_sleep(1, 0, 0, RQ_NEVER);
	assert_int_equal(pick(0, ~0UL - 1, NULL), -1);
}

/* A long sleep is worth a slice and no more; a short one does not lose what was run before it. */
static void test_sleep_is_no_credit(void **state)
{
	uint64_t now = 0;

	(void)state;
	machine(1, 1);
	for (unsigned int i = 0; i < 3; i++)
		add(i, VM('a' + i), 0);
	assert_int_equal(pick(0, now, NULL), 0);
	put_to_sleep(0, 0, 0, 100000);
	for (; now < 100000; now += SLICE) {
		unsigned int e = (unsigned int)pick(0, now, NULL);

		assert_in_range(e, 1, 2);
		put(e, 0, SLICE);
	}
	/* Who was picked last had run 49 slices; the sleeper counts as 48, and then they are equal. */
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(pick(0, now, NULL), 0);
		put(0, 0, SLICE);
	}
	for (unsigned int round = 0; round < 3; round++) {
		bool seen[3] = { false };

		for (unsigned int i = 0; i < 3; i++) {
			unsigned int e = (unsigned int)pick(0, now, NULL);

			assert_false(seen[e]);
			seen[e] = true;
			put(e, 0, SLICE);
		}
	}
	/* Ten slices in one go; a nap after that changes nothing. */
	assert_int_equal(pick(0, now, NULL), 0);
	put_to_sleep(0, 0, 10 * SLICE, now + 1);
	for (unsigned int i = 0; i < 18; i++) {
		unsigned int e = (unsigned int)pick(0, now + 2, NULL);

		assert_in_range(e, 1, 2);
		put(e, 0, SLICE);
	}
}

/* One VM at a time on the threads of a core; the same end for all; then everybody comes back before another begins. */
static void test_core(void **state)
{
	uint64_t end;

	(void)state;
	machine(2, 2);
	add(0, VM('a'), 0);
	add(1, VM('a'), 0);
	add(2, VM('b'), 0);
	add(3, VM('a'), 0);
	assert_int_equal(pick(0, 100, &end), 0);
	assert_int_equal(end, 1100);
	assert_int_equal(pick(1, 700, &end), 1);
	assert_int_equal(end, 1100);
	/* Early back: again one of the same VM, to the same end, although another VM has run less. */
	put(0, 0, 800);
	assert_int_equal(pick(0, 900, &end), 3);
	assert_int_equal(end, 1100);
	/* At the end: one thread waits for the other, which may be late. */
	put(3, 0, 200);
	assert_int_equal(pick(0, 1100, &end), -1);
	assert_false(rq_has_work(0, 1100));
	assert_int_equal(rq_next_wake(0), 1100);
	put(1, 1, 450);
	assert_int_equal(pick(1, 1150, &end), 2);
	assert_int_equal(end, 2150);
	/* There is nothing of that VM for the other thread. */
	assert_int_equal(pick(0, 1160, &end), -1);
	assert_false(rq_has_work(0, 1160));
	assert_int_equal(rq_next_wake(0), 2150);
	put(2, 1, 100);
	assert_int_equal(pick(0, 1250, &end), 2);
	assert_int_equal(end, 2250);
}

/* Nobody else waits: at the end of the time the threads go on, without waiting for each other. */
static void test_core_alone(void **state)
{
	uint64_t end;

	(void)state;
	machine(2, 2);
	add(0, VM('a'), 0);
	add(1, VM('a'), 0);
	add(2, VM('b'), 0);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 0);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 100); /* it is the turn of 1 now */
	assert_int_equal(pick(0, 0, NULL), 1);
	assert_int_equal(pick(1, 0, &end), 0);
	assert_int_equal(end, 1000);
	put(1, 0, 0);
	es[2].wake = 0; /* asleep since before: it has no time to wake at */
	assert_int_equal(pick(0, 999, NULL), 1);
	put(1, 0, 0);
	/* 2 waits. It goes, and sleeps. */
	put(0, 1, 900);
	assert_int_equal(pick(1, 1000, NULL), 1);
	put(1, 1, 1);
	assert_int_equal(pick(1, 1001, NULL), 2);
	put_to_sleep(2, 1, 10, RQ_NEVER);
	assert_int_equal(pick(0, 1020, &end), 1);
	assert_int_equal(end, 2020);
	assert_int_equal(pick(1, 1030, &end), 0);
	assert_int_equal(end, 2020);
	put(0, 1, 990);
	assert_int_equal(pick(1, 2020, &end), 0);
	assert_int_equal(end, 3020);
	put(1, 0, 1000);
	assert_int_equal(pick(0, 2025, &end), 1);
	assert_int_equal(end, 3020);
}

/* Whose registers are still in a CPU is picked there and nowhere else. */
static void test_loaded(void **state)
{
	(void)state;
	machine(4, 2);
	add(0, VM('a'), 0);
	add(1, VM('a'), 0);
	assert_int_equal(pick(1, 0, NULL), 0);
	rq_put(&es[0], 1, 0, SCHED_WAITING, 0, 1);
	assert_int_equal(pick(0, 0, NULL), 1);
	assert_false(rq_has_work(2, 0)); /* the other core: the one runs, the other one is loaded */
	assert_int_equal(pick(2, 0, NULL), -1);
	assert_true(rq_has_work(1, 0));
	assert_int_equal(pick(1, 0, NULL), 0);
	/* Put into memory, it may go. */
	put(0, 1, 0);
	assert_true(rq_has_work(2, 0));
	assert_int_equal(pick(2, 0, NULL), 0);
	assert_int_equal(es[0].core, 2);
}

/* A core without work takes what waits at one that is busy: not what sleeps, and not from one that is about to pick. */
static void test_steal(void **state)
{
	(void)state;
	machine(3, 1);
	for (unsigned int i = 0; i < 3; i++)
		add(i, VM('a' + i), 0);
	/* All asleep: nobody knows yet that they may wake. */
	assert_false(rq_has_work(1, 0));
	assert_int_equal(pick(1, 0, NULL), -1);
	assert_int_equal(pick(0, 0, NULL), 0);
	assert_true(rq_has_work(1, 0));
	assert_int_equal(pick(1, 0, NULL), 1);
	assert_true(es[1].core == 1 && es[2].core == 0);
	assert_true(rq_has_work(2, 0));
	assert_int_equal(pick(2, 0, NULL), 2);
	/* It stays where it has been taken to. */
	put_to_sleep(2, 2, 10, 50);
	assert_int_equal(pick(0, 60, NULL), -1);
	assert_int_equal(rq_next_wake(0), RQ_NEVER);
	assert_int_equal(rq_next_wake(2), 50);
	assert_int_equal(pick(2, 60, NULL), 2);
}

/* A core that is between two turns will pick by itself: it loses nothing to one that has less to do. */
static void test_no_steal_between_turns(void **state)
{
	(void)state;
	machine(2, 1);
	add(0, VM('a'), 0);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 10);
	assert_false(rq_has_work(1, 0));
	assert_int_equal(pick(1, 0, NULL), -1);
	assert_int_equal(pick(0, 0, NULL), 0);
}

/* What is taken along is the lead over the others, not the sum of what was run elsewhere. */
static void test_steal_keeps_lead(void **state)
{
	(void)state;
	machine(2, 1);
	add(0, VM('a'), 0);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 50000);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 0); /* the least here is 50,000 */
	add(1, VM('b'), 1);
	add(2, VM('c'), 0);
	add(3, VM('d'), 0);
	for (int i = 0; i < 3; i++) {
		static const unsigned int ids[] = { 0, 2, 3 };

		assert_int_equal(pick(0, 0, NULL), ids[i]);
		put(ids[i], 0, i == 0 ? 300 : 30 * i);
	}
	assert_int_equal(pick(0, 0, NULL), 2); /* at 50,030; 3 is at 50,060 */
	/* CPU 1 has nothing of its own that is awake. */
	es[1].wake = RQ_NEVER;
	assert_int_equal(pick(1, 0, NULL), 3);
	assert_int_equal(es[3].vruntime, 30);
	has_mail[1] = true;
	put(3, 1, 100);
	assert_int_equal(pick(1, 0, NULL), 1);
}

/* Two more to run than here: one comes over, even while there is something to do here. */
static void test_balance(void **state)
{
	(void)state;
	machine(2, 1);
	for (unsigned int i = 0; i < 4; i++)
		add(i, VM('a' + i), 0);
	add(4, VM('e'), 1);
	assert_int_equal(pick(0, 0, NULL), 0);
	put(0, 0, 5);
	assert_int_equal(pick(1, 0, NULL), 4); /* 4 to 0: the least comes over, as the last here */
	assert_int_equal(es[1].core, 1);
	put_to_sleep(4, 1, 5, RQ_NEVER);
	assert_int_equal(pick(0, 0, NULL), 2);
	put(2, 0, 5);
	assert_int_equal(pick(1, 0, NULL), 1); /* 3 to 1: another one has come */
	assert_int_equal(es[3].core, 1);
	put(1, 1, 5);
	assert_int_equal(pick(1, 0, NULL), 3); /* 2 to 2: nobody comes */
	assert_true(es[0].core == 0 && es[2].core == 0);
}

static void test_alone(void **state)
{
	(void)state;
	machine(2, 1);
	add(0, VM('a'), 0);
	assert_int_equal(nr_crowded, 0);
	assert_int_equal(rq_choose(), 1);
	add(1, VM('b'), 1);
	assert_int_equal(pick(0, 0, NULL), 0);
	assert_true(rq_is_alone(&es[0]) && rq_is_alone(&es[1]));
	/* Who sleeps here counts: it may wake. */
	add(2, VM('c'), rq_choose());
	assert_true(nr_crowded == 1 && crowded == 0);
	assert_false(rq_is_alone(&es[0]));
	add(3, VM('d'), rq_choose());
	assert_true(nr_crowded == 2 && crowded == 1);
	add(4, VM('e'), rq_choose());
	assert_int_equal(nr_crowded, 2); /* nobody was alone there */
	rq_remove(&es[0]);
	assert_int_equal(pick(0, 0, NULL), 2);
	rq_remove(&es[2]);
	assert_int_equal(es[4].core, 0);
	assert_true(rq_is_alone(&es[4]));
	/* One that comes over by itself crowds the core as well. */
	assert_int_equal(pick(0, 0, NULL), 4);
	put_to_sleep(4, 0, 0, RQ_NEVER);
	assert_int_equal(pick(1, 0, NULL), 1);
	nr_crowded = 0;
	assert_int_equal(pick(0, 0, NULL), 3);
	assert_true(nr_crowded == 1 && crowded == 0);
	assert_true(rq_is_alone(&es[1]));
}

/* Who is woken for what waits here: only a CPU that can take it, threads of this core first. */
static void test_idle_cpu(void **state)
{
	(void)state;
	machine(6, 2);
	add(0, VM('a'), 0);
	add(1, VM('a'), 0);
	for (uint32_t cpu = 1; cpu < 6; cpu += 2)
		rq_set_idle(cpu, true);
	rq_set_idle(4, true);
	assert_int_equal(pick(0, 0, NULL), 0);
	assert_int_equal(rq_idle_cpu(0), 1);
	assert_int_equal(pick(1, 0, NULL), 1);
	rq_set_idle(1, false);
	assert_int_equal(rq_idle_cpu(0), RQ_NO_CPU); /* both run: nobody waits */
	/* Of another VM: not for the thread at its side. */
	put_to_sleep(1, 1, 0, RQ_NEVER);
	rq_set_idle(1, true);
	add(2, VM('b'), 0);
	assert_int_equal(rq_idle_cpu(0), RQ_NO_CPU); /* asleep */
	assert_int_equal(pick(1, 0, NULL), -1);	     /* but this CPU has seen it wake */
	assert_int_equal(rq_idle_cpu(0), 3);
	rq_set_idle(3, false);
	assert_int_equal(rq_idle_cpu(0), 4);
	rq_set_idle(4, false);
	assert_int_equal(rq_idle_cpu(0), 5);
	rq_set_idle(5, false);
	assert_int_equal(rq_idle_cpu(0), RQ_NO_CPU);
	/* Loaded elsewhere: that CPU or none. */
	put_to_sleep(0, 0, 0, RQ_NEVER);
	add(3, VM('b'), 0);
	assert_int_equal(pick(0, 0, NULL), 2);
	rq_put(&es[2], 0, 0, SCHED_WAITING, 0, 0);
	assert_int_equal(pick(1, 0, NULL), 3);
	rq_set_idle(0, true);
	rq_set_idle(3, true);
	assert_int_equal(rq_idle_cpu(1), 0);
	assert_int_equal(rq_idle_cpu(0), RQ_NO_CPU); /* oneself is not asked */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_first),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_sleepers),
		cmocka_unit_test(test_sleep_is_no_credit),
		cmocka_unit_test(test_core),
		cmocka_unit_test(test_core_alone),
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_steal),
		cmocka_unit_test(test_no_steal_between_turns),
		cmocka_unit_test(test_steal_keeps_lead),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_idle_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
