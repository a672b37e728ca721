/* SPDX-License-Identifier: MIT */
/*
 * asi/stun.c with asi/switch.c: this CPU and a sibling at random. The sibling takes steps of its own at any point of what this
 * CPU does, and while it waits; NMIs come at any point too. Never is one in its guest while the other is unrestricted,
 * or has left something in the core that is not flushed.
 */
#include "unittests/asi_stun.h"
#include "unittests/seed.h"

/* ---- the sibling ---- */

static enum { RESTRICTED, IN_GUEST, LEAVING, UNRESTRICTED } sibling;
static bool in_own_guest;   /* this CPU */
static bool dirty;	    /* the core holds what was sensitive */
static uint64_t guest_runs; /* of the sibling */

/* At any point at all. */
static void check(void)
{
	if (outside())
		dirty = true;
	if (sibling == IN_GUEST) {
		assert_false(outside());
		assert_false(dirty);
	}
	if (sibling == UNRESTRICTED)
		assert_false(in_own_guest);
	if (outside())
		assert_true(word() & 1);
	if (sibling == UNRESTRICTED)
		assert_true(word() & 2);
}

static void sibling_step(void)
{
	bool begun = false;

	switch (sibling) {
	case RESTRICTED:
		if (seed_below(2)) {
			AS_SIBLING(begun = stun_enter_guest());
			if (begun)
				sibling = IN_GUEST;
			guest_runs += begun;
		} else {
			__atomic_fetch_or(&stun_cores[0].word, 2, __ATOMIC_SEQ_CST);
			sibling = LEAVING;
		}
		break;
	case IN_GUEST:
		if (sibling_kicked || !seed_below(4)) {
			sibling_kicked = false;
			AS_SIBLING(stun_exit_guest());
			sibling = RESTRICTED;
		}
		break;
	case LEAVING: /* the real one would wait in here; this CPU has to see G and no U of ours */
		if (!(in_guest(word()) & 1)) {
			sibling = UNRESTRICTED;
			dirty = true;
		}
		break;
	case UNRESTRICTED:
		if (!seed_below(3)) {
			dirty = outside();
			AS_SIBLING(stun_entered_core());
			sibling = RESTRICTED;
		}
		break;
	}
	check();
}

static void flushed(unsigned int flush)
{
	if (flush == FLUSH_L1D)
		dirty = outside() || sibling == UNRESTRICTED;
}

static unsigned int nested, nmis;

static void maybe_nmi(void)
{
	if (nested == 2 || seed_below(40))
		return;
	nested++;
	nmis++;
	trap_depth++;
	switch_point();
	if (seed_below(3)) {
		trap_depth++;
		switch_exit(ASI_BY_FAULT);
		check();
		trap_depth--;
	}
	trap_depth--;
	switch_point();
	if (trap_depth == 0)
		asi_intr_exit();
	nested--;
}

static void anything(void)
{
	check();
	if (!seed_below(3))
		sibling_step();
	if (!in_own_guest)
		maybe_nmi();
}

/* ---- this CPU ---- */

static void run_guest(void)
{
	if (!stun_guest_begin())
		return;
	asi_check_entry(domains[0], asi_host_cr3());
	fake_mmu_point = NULL; /* the NMI would be a VM exit */
	if (sibling == UNRESTRICTED) {
		fail();
	}
	in_own_guest = true;
	for (unsigned int i = 0; i < 3; i++)
		sibling_step();
	in_own_guest = false;
	fake_mmu_point = anything;
	stun_guest_end();
}

/* Everything at random. */
static void test_random(void **state)
{
	(void)state;
	guest_runs = nmis = 0;
	fake_mmu_on_flush = flushed;
	fake_mmu_point = anything;
	fake_pause = sibling_step;
	for (unsigned int i = 0; i < 100000; i++) {
		switch (seed_below(4)) {
		case 0:
			asi_exit();
			break;
		default:
			asi_enter(domains[0]);
			run_guest();
			asi_relax();
		}
	}
	assert_true(guest_runs > 10000 && nmis > 10000);
	assert_true(stun_stats_of(0)->waits > 100 && stun_stats_of(0)->held > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, stun_start, stun_stop),
	};

	seed_start(43);
	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
