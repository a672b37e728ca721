/* SPDX-License-Identifier: MIT */
/* asi/stun.c with asi/switch.c: each order by itself. All of them at random: test_asi_stun_walk.c. */
#include "unittests/asi_stun.h"

/* Whose siblings take part has a core, where the stun is on and there are domains at all; nobody else. */
static void test_init(void **state)
{
	(void)state;
	assert_ptr_equal(stun_core, &stun_cores[0]);
	assert_ptr_equal(*percpu_of(1, stun_core), &stun_cores[0]);
	assert_true(stun_me == 1 && *percpu_of(1, stun_me) == 2);
	assert_true(stun_is_on(0) && stun_is_on(1) && !stun_is_on(2));
	assert_int_equal(word(), 1); /* the other is parked */

	for (unsigned int i = 0; i < 4; i++) {
		stun_core = *percpu_of(1, stun_core) = NULL;
		fake_core = i == 3 ? 1 : 3;
		if (i == 2)
			switch_init(false);
		stun_init(i != 0, i == 1 ? 1 : 3);
		switch_init(true);
		assert_false(stun_is_on(0) || stun_is_on(1));
	}
	fake_mmu_log[0] = '\0';
	memset(stun_cores, 0, sizeof(stun_cores));
	assert_true(stun_guest_begin() && stun_has_begun());
	stun_guest_end();
	stun_leave();
	stun_entered();
	stun_join();
	stun_park();
	assert_int_equal(word(), 0);
	check_log("");
}

/* All threads, or each core's first; and what cannot be promised is not begun. */
static void test_cpus(void **state)
{
	(void)state;
	fake_nr_cpus = 3;
	fake_core = 5;
	assert_int_equal(stun_cpus(true), 7);
	assert_int_equal(stun_cpus(false), 3);
	fake_nr_cpus = CPUS_MAX;
	fake_core = BITS(CPUS_MAX - 1, 0);
	assert_int_equal(stun_cpus(true), BITS(STUN_THREADS - 1, 0)); /* what a word has room for */
	assert_int_equal(stun_cpus(false), 1);
	fake_core = 5;
	assert_null(stun_refusal(true, true, 7));
	assert_null(stun_refusal(false, false, 7));
	assert_null(stun_refusal(true, false, 3));
	assert_non_null(strstr(stun_refusal(true, false, 7), "stun=off"));
}

static const char *seen_u, *seen_no_u; /* what had been done when U was first seen, and no more */

static void note_u(void)
{
	static char texts[2][64];

	if (word() & 1 && !seen_u)
		seen_u = strcpy(texts[0], fake_mmu_log);
	if (!(word() & 1) && !seen_no_u)
		seen_no_u = strcpy(texts[1], fake_mmu_log);
}

/* U is set before anything that leaving does, and cleared behind everything that entering does. */
static void test_order(void **state)
{
	(void)state;
	fake_mmu_log[0] = '\0';
	seen_no_u = NULL;
	fake_mmu_point = note_u;
	asi_enter(domains[0]);
	asi_relax();
	fake_mmu_point = NULL;
	assert_int_equal(word(), 0);
	assert_true(!seen_no_u || !strcmp(seen_no_u, "F W1 L V "));
	check_log("F W1 L V ");
	seen_u = NULL;
	fake_mmu_point = note_u;
	asi_exit();
	fake_mmu_point = NULL;
	assert_string_equal(seen_u, "");
	check_log("B S F N0 ");
	assert_int_equal(word(), 1);
}

static struct asi *idle_domain(void)
{
	struct asi *idle;

	assert_int_equal(asi_create(ASI_IDLE, NULL, &idle), 0);
	return idle;
}

/* With siblings an idle CPU has flushed too, does so again for the next guest, and is led astray by nobody. */
static void test_idle(void **state)
{
	struct asi *idle = idle_domain();

	(void)state;
	fake_mmu_log[0] = '\0';
	asi_enter(idle);
	check_log("F W1 L V ");
	assert_int_equal(word(), 0);
	asi_relax();
	asi_enter(domains[0]);
	check_log("F W2 L V ");
	asi_relax();
	asi_enter(idle);
	check_log("F N1 V ");
	asi_relax();
	asi_exit();
	check_log("B S F N0 ");
	asi_enter(idle);
	asi_relax();
	asi_exit();
	check_log("F N1 L V B S F N0 ");

	stun_core = NULL; /* without: nothing */
	asi_enter(idle);
	asi_relax();
	asi_exit();
	check_log("F N1 F N0 ");
	asi_put(idle);
}

static unsigned int pauses, until;
static uint64_t then; /* the sibling's bits */

static void sibling_answers(void)
{
	fake_tsc += 100;
	assert_true(outside() == false); /* CR3 waits too */
	if (++pauses == until)
		stun_cores[0].word = (stun_cores[0].word & 1) | then;
}

/* Who leaves kicks a sibling that is in its guest, and waits until it is out, by an exit or by an NMI; and for no other. */
static void test_leave(void **state)
{
	static const struct {
		uint64_t before, then;
		unsigned int pauses;
	} cases[] = {
		{ STUN_G << 1, 0, 3 }, { STUN_G << 1, STUN_G << 1 | 2, 1 }, { 0, 0, 0 },
		{ 2, 2, 0 },	       { STUN_G << 1 | 2, 0, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		stun_start(state);
		asi_enter(domains[0]);
		asi_relax();
		stun_cores[0].word = cases[i].before;
		then = cases[i].then;
		until = cases[i].pauses;
		pauses = 0;
		fake_pause = sibling_answers;
		asi_exit();
		assert_int_equal(pauses, cases[i].pauses);
		assert_int_equal(sibling_kicked, cases[i].pauses != 0);
		assert_true(word() & 1);
		assert_int_equal(stun_stats_of(0)->waits, cases[i].pauses != 0);
		assert_int_equal(stun_stats_of(0)->ticks, cases[i].pauses * 100);
		assert_int_equal(stun_stats_of(0)->longest, cases[i].pauses * 100);
		if (cases[i].pauses)
			assert_int_equal(stun_stats_of(0)->log2[cases[i].pauses == 1 ? 6 : 8], 1);
	}
}

/* A guest is not entered while a sibling is unrestricted, and what was said meanwhile is taken back. */
static void test_begin(void **state)
{
	(void)state;
	assert_true(stun_guest_begin()); /* no domain: not our business */
	assert_int_equal(word(), 1);
	asi_enter(domains[0]);
	expect_assert_failure(asi_check_entry(domains[0], asi_host_cr3()));
	fake_irqs_on = false;
	assert_true(stun_guest_begin());
	asi_check_entry(domains[0], asi_host_cr3());
	assert_int_equal(word(), STUN_G);
	stun_guest_end();
	assert_int_equal(word(), 0);

	stun_cores[0].word = 2;
	fake_tsc = 1000;
	assert_false(stun_guest_begin());
	assert_int_equal(word(), 2);
	fake_tsc = 1300;
	assert_false(stun_guest_begin());
	expect_assert_failure(asi_check_entry(domains[0], asi_host_cr3()));
	fake_irqs_on = false;
	fake_tsc = 1501;
	stun_cores[0].word = 0;
	assert_true(stun_guest_begin());
	stun_guest_end();
	assert_int_equal(stun_stats_of(0)->held, 2);
	assert_int_equal(stun_stats_of(0)->held_ticks, 500);
	assert_int_equal(stun_stats_of(0)->held_longest, 500);

	stun_cores[0].word = 2;
	assert_false(stun_guest_begin()); /* and gives up */
	fake_tsc += 40;
	asi_relax();
	asi_exit();
	assert_int_equal(stun_stats_of(0)->held_ticks, 540);
}

static unsigned int points_to_go;

static void sibling_leaves(void)
{
	if (points_to_go--)
		return;
	fake_mmu_point = NULL;
	if (!(word() & STUN_G)) /* or it waits for this CPU */
		stun_cores[0].word |= 2;
}

/* The sibling leaves at any point: before the look, between it and the act, behind. */
static void test_begin_races(void **state)
{
	unsigned int refused = 0, begun = 0, when = 0;

	(void)state;
	do {
		stun_cores[0].word = 1;
		asi_enter(domains[0]);
		points_to_go = when++;
		fake_mmu_point = sibling_leaves;
		if (stun_guest_begin()) {
			assert_int_equal(word(), STUN_G);
			stun_guest_end();
			begun++;
		} else {
			assert_int_equal(word(), 2);
			refused++;
		}
		asi_relax();
		asi_exit();
	} while (!fake_mmu_point);
	fake_mmu_point = NULL;
	assert_true(begun > 1 && refused > 2);
}

/*
 * The time-line that Chartre posted against stunning by hand (reference, A5): both siblings pass their wait with
 * interrupts on, A then takes an interrupt and leaves, while B, with interrupts off, goes on into its guest.
 */
static void test_timeline(void **state)
{
	bool begun = true;

	(void)state;
	asi_enter(domains[0]);
	asi_relax();
	asi_exit(); /* T+01: A, this CPU, is unrestricted */
	AS_SIBLING(begun = stun_enter_guest());
	assert_false(begun);		 /* T+02: B waits, interrupts on */
	asi_enter(domains[0]);		 /* T+03: A enters, and has flushed */
	assert_true(stun_guest_begin()); /* T+04: A may run its guest; */
	stun_guest_end();
	assert_int_equal(word(), 0); /* T+05: B sees that it may, too; it has not said anything */
	asi_relax();
	asi_exit(); /* T+06: A takes an interrupt and leaves: nobody is in a guest, so it does not wait */
	assert_false(sibling_kicked);
	/* T+07: B has switched interrupts off, and is on its way: the test is with what it says */
	AS_SIBLING(begun = stun_enter_guest());
	assert_false(begun);

	asi_enter(domains[0]);
	asi_relax();
	AS_SIBLING(begun = stun_enter_guest());
	assert_true(begun); /* T+08: B was first; now it is behind the test, before VMLAUNCH */
	then = 0;
	until = 2; /* T+09: its guest exits before its first instruction, since the kick is pending */
	pauses = 0;
	fake_pause = sibling_answers;
	asi_exit();
	assert_true(sibling_kicked);
	assert_int_equal(pauses, 2);
	AS_SIBLING(begun = stun_enter_guest());
	assert_false(begun); /* T+10: A is in its secrets, B is not in its guest */
}

static void nmi_leaves(void)
{
	trap_depth = 2;
	switch_exit(ASI_BY_FAULT);
	assert_int_equal(word() & (STUN_G | 1), STUN_G | 1);
	then |= word() & 2; /* the sibling saw that we are out, and left without waiting */
	stun_cores[0].word |= 2;
	trap_depth = 0;
}

static void sibling_is_back(void)
{
	assert_int_equal(word(), 2); /* no U, no STUN_G: nobody waits for us */
	if (++pauses == until)
		stun_cores[0].word &= ~2UL;
}

/* Two NMIs may leave on both siblings, each before its VM entry: neither waits for the other. Who comes back may go on only when it is permitted again. */
static void test_nmi_before_entry(void **state)
{
	(void)state;
	asi_enter(domains[0]);
	assert_true(stun_guest_begin());
	stun_cores[0].word |= STUN_G << 1 | 2; /* B the same, and its NMI has left */
	trap_depth = 2;
	switch_exit(ASI_BY_FAULT); /* ends, although both have STUN_G */
	trap_depth = 0;
	stun_cores[0].word &= ~(STUN_G << 1 | 2);
	asi_intr_exit();
	assert_int_equal(word(), STUN_G);
	asi_check_entry(domains[0], asi_host_cr3());

	nmi_leaves();
	until = 5;
	pauses = 0;
	fake_pause = sibling_is_back;
	asi_intr_exit(); /* not before B is back */
	assert_int_equal(pauses, 5);
	assert_int_equal(word(), STUN_G);
	asi_check_entry(domains[0], asi_host_cr3());
	stun_guest_end();
}

/* A CPU that begins to take part is unrestricted, and one that ends has flushed, and is in nobody's way. */
static void test_join_and_park(void **state)
{
	(void)state;
	stun_cores[0].word = STUN_G << 1;
	then = 0;
	until = 2;
	pauses = 0;
	asi_curr = domains[0]; /* what sibling_answers() wants */
	fake_cr3 = domains[0]->pt.root.v;
	fake_pause = sibling_answers;
	stun_join();
	fake_pause = NULL;
	assert_true(sibling_kicked && word() == 1);
	switch_reset(true, 0);
	stun_park();
	check_log("L V ");
	assert_int_equal(word(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_init, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_cpus, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_order, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_idle, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_leave, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_begin, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_begin_races, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_timeline, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_nmi_before_entry, stun_start, stun_stop),
		cmocka_unit_test_setup_teardown(test_join_and_park, stun_start, stun_stop),
	};

	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
