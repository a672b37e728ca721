/* SPDX-License-Identifier: MIT */
/* asi/switch.c: PCID slots, generations and flushes, against a TLB that knows what is stale. */
#include "unittests/asi_switch.h"
#include "unittests/seed.h"
#include "mm/buddy.h"
#include "mm/pagecache.h"
#include "mm/quarantine.h"

/* An unmapping is flushed at once if the domain is current, else once, by its next enter. */
static void test_flush_local(void **state)
{
	struct asi *a = domains[0], *b = domains[1];

	(void)state;
	asi_enter(a);
	check_log("F W1 ");
	fake_mmu_unmapped(a->pt.root);
	asi_flush_local(a, 0, ~0UL);
	check_log("F I1 ");
	check_in(a);
	assert_int_equal(asi_cpu_stats()->tlb_flushes, 1);
	asi_relax();
	asi_exit();
	asi_enter(a);
	check_log("F N0 F N1 ");
	asi_relax();
	asi_exit();
	check_log("F N0 ");

	for (unsigned int i = 0; i < 3; i++) {
		fake_mmu_unmapped(a->pt.root);
		asi_flush_local(a, 0, ~0UL);
		check_log("F ");
	}
	assert_int_equal(asi_cpu_stats()->tlb_flushes, 1);
	asi_enter(a);
	check_log("F W1 ");
	check_in(a);
	asi_relax();
	asi_enter(b);
	check_log("F W2 ");
	asi_flush_local(a, 0, ~0UL); /* another domain's: ours keeps its translations */
	check_log("F ");
	check_in(b);
	asi_relax();
	asi_exit();
	asi_enter(b);
	check_log("F N0 F N2 ");
	asi_enter(a);
	check_log("F W1 ");
	check_in(a);
}

/*
 * Who is exactly one unmapping behind drops those pages and keeps the rest; two behind, or too long a
 * range, drops all. Inside the domain at the time, or at the next enter.
 */
static void test_flush_range(void **state)
{
	const uint64_t at = LOCALMAP_BASE + MiB(64);
	struct asi *a = domains[0];

	(void)state;
	asi_enter(a);
	check_log("F W1 ");
	fake_mmu_unmapped_at(a->pt.root, at);
	asi_flush_local(a, at, PAGEBLOCK_SIZE);
	check_log("F P1 ");
	check_in(a);
	asi_relax();
	asi_exit();
	fake_mmu_unmapped_at(a->pt.root, at);
	asi_flush_local(a, at, 3 * PAGEBLOCK_SIZE);
	asi_enter(a);
	check_log("F N0 F F P1 P1 P1 N1 ");
	check_in(a);
	assert_int_equal(asi_cpu_stats()->tlb_ranges, 2);
	assert_int_equal(asi_cpu_stats()->tlb_flushes, 0);
	asi_relax();
	asi_exit();

	for (unsigned int i = 0; i < 2; i++) {
		fake_mmu_unmapped_at(a->pt.root, at + i * PAGEBLOCK_SIZE);
		asi_flush_local(a, at + i * PAGEBLOCK_SIZE, PAGEBLOCK_SIZE);
	}
	asi_enter(a);
	check_log("F N0 F F F W1 ");
	check_in(a);
	asi_relax();
	asi_exit();
	fake_mmu_unmapped(a->pt.root);
	asi_flush_local(a, at, RANGE_MAX + PAGEBLOCK_SIZE);
	asi_enter(a);
	check_log("F N0 F F W1 ");
	check_in(a);

	/* A slot that has never been loaded, or lost, is not one behind of anything. */
	switch_reset(true, 0);
	asi_enter(a);
	check_log("F W1 ");
	check_in(a);
}

/* What all share is unmapped in each: the current one at once, the others when they are entered. */
static void test_flush_global(void **state)
{
	const uint64_t at = DIRECTMAP_BASE + MiB(32);
	struct asi *a = domains[0], *b = domains[1];

	(void)state;
	asi_enter(b);
	asi_relax();
	asi_enter(a);
	fake_mmu_log[0] = '\0';
	for (unsigned int i = 0; i < DOMAINS; i++)
		fake_mmu_unmapped_at(domains[i]->pt.root, at);
	asi_flush_global(at, PAGEBLOCK_SIZE);
	check_in(a);
	asi_relax();
	asi_exit();
	fake_mmu_log[0] = '\0';
	asi_enter(b);
	check_log("F P1 N1 ");
	check_in(b);
}

/* More domains than slots: one loses its PCID, and whoever gets it drops what it held. */
static void test_eviction(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SLOTS; i++)
		asi_enter(domains[i]);
	check_log("F W1 F W2 F W3 F W4 F W5 F W6 ");
	for (unsigned int i = 0; i < SLOTS; i++)
		asi_enter(domains[i]);
	check_log("F N1 F N2 F N3 F N4 F N5 F N6 ");
	asi_enter(domains[SLOTS]);
	check_log("F W1 ");
	check_in(domains[SLOTS]);
	asi_enter(domains[1]);
	check_log("F N2 ");
	asi_enter(domains[0]);
	check_log("F W2 ");
	check_in(domains[0]);
	asi_enter(domains[SLOTS]);
	check_log("F N1 ");
	check_in(domains[SLOTS]);
}

/* A new domain @i whose root is the page @root: whatever page would be taken before that is held meanwhile. */
static struct asi *create_at(unsigned int i, uint64_t root)
{
	unsigned int nr = 0;
	struct asi *asi;
	void *held[32];

	do {
		assert_true(nr < ARRAY_SIZE(held));
		held[nr] = page_alloc(0, SENSITIVE, NULL);
	} while (hva_to_hpa(held[nr++]).v != root);
	page_free(held[--nr], 0);
	asi = switch_create(i);
	while (nr)
		page_free(held[--nr], 0);
	return asi;
}

/*
 * A new domain in the memory of a dead one never meets the dead one's translations; the last of the dead
 * was itself reborn and flushed nothing, so it differs from its successor by the first generation alone.
 */
static void test_reborn(void **state)
{
	struct asi *a = domains[DOMAINS - 1], *dead;
	uint64_t root;

	(void)state;
	for (unsigned int flushes = 4; flushes-- > 0;) {
		dead = a;
		root = a->pt.root.v;
		asi_enter(a);
		for (unsigned int i = 0; i < flushes; i++)
			asi_flush_local(a, 0, ~0UL);
		asi_relax();
		if (flushes % 2)
			asi_exit();
		switch_destroy(a);
		check_out();
		a = domains[DOMAINS - 1] = create_at(DOMAINS - 1, root);
		assert_ptr_equal(a, dead);
		assert_int_equal(a->pt.root.v, root);
		asi_enter(a);
		check_in(a);
		asi_relax();
		asi_exit();
	}
}

/* The same where another CPU's slots were not told: the generation alone must do. */
static void test_reborn_generation(void **state)
{
	struct asi *a = domains[DOMAINS - 1];
	struct slot remembered;

	(void)state;
	for (unsigned int flushes = 0; flushes < 4; flushes++) {
		asi_enter(a);
		for (unsigned int i = 0; i < flushes; i++)
			asi_flush_local(a, 0, ~0UL);
		asi_relax();
		asi_exit();
		remembered = asi_slots[0];
		switch_destroy(a);
		a = domains[DOMAINS - 1] = switch_create(DOMAINS - 1);
		asi_slots[0] = remembered;
		assert_ptr_equal(a, remembered.asi);
		asi_enter(a);
		check_in(a);
		asi_relax();
		asi_exit();
	}
}

static uint64_t gen_seen[2];
static unsigned int nr_seen;

static void note_generation(void)
{
	fake_mmu_point = NULL;
	gen_seen[nr_seen++] = tlb_generation();
	if (nr_seen < 2)
		fake_mmu_point = note_generation;
}

/* A generation passes by a flush of everything that begins after it was read, and by no other. */
static void test_generations(void **state)
{
	uint64_t before = tlb_generation();

	(void)state;
	assert_false(tlb_generation_passed(before));
	fake_mmu_log[0] = '\0';
	fake_mmu_point = note_generation; /* an interrupt just before and just after the flush */
	nr_seen = 0;
	tlb_flush_generation();
	fake_mmu_point = NULL;
	assert_non_null(strchr(fake_mmu_log, 'A'));
	assert_int_equal(nr_seen, 2);
	assert_true(tlb_generation_passed(before));
	assert_false(tlb_generation_passed(gen_seen[0]));
	assert_false(tlb_generation_passed(gen_seen[1]));
	assert_false(tlb_generation_passed(tlb_generation()));
	tlb_flush_generation();
	assert_true(tlb_generation_passed(gen_seen[0]));
	assert_true(tlb_generation_passed(gen_seen[1]));
}

/* Restricted tables mean that curr says so: at any point. */
static void covered(void)
{
	if (loaded_root() != hostmap_cr3())
		assert_non_null(asi_curr);
}

static void random_step(void)
{
	unsigned int i = (unsigned int)seed_below(DOMAINS);
	struct asi *d = domains[i];

	switch (seed_below(16)) {
	case 0:
		fake_mmu_unmapped(d->pt.root);
		asi_flush_local(d, 0, ~0UL);
		break;
	case 1:
		asi_relax();
		if (asi_curr != d && asi_target != d) {
			switch_destroy(d);
			domains[i] = switch_create(i);
		}
		break;
	case 2:
	case 3:
		asi_relax();
		asi_exit();
		check_out();
		break;
	case 4:
		asi_relax();
		break;
	case 5:
		trap_depth = 1;
		switch_exit(ASI_BY_FAULT);
		check_out();
		trap_depth = 0;
		asi_intr_exit();
		break;
	default:
		asi_enter(d);
		check_in(d);
	}
	assert_true(fake_mmu_is_fresh());
	assert_true(!asi_target || asi_curr == asi_target);
	assert_int_equal(loaded_root(), asi_curr ? asi_curr->pt.root.v : hostmap_cr3());
}

/* Random use of more domains than slots, that come and go: what the TLB keeps is never stale. */
static void test_random_walk(void **state)
{
	(void)state;
	for (unsigned int pcid = 0; pcid < 2; pcid++) {
		switch_reset(pcid, 0);
		fake_mmu_point = covered;
		for (unsigned int i = 0; i < 20000; i++)
			random_step();
		asi_relax();
		asi_exit();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_flush_local, fresh),
		cmocka_unit_test_setup(test_flush_range, fresh),
		cmocka_unit_test_setup(test_flush_global, fresh),
		cmocka_unit_test_setup(test_eviction, fresh),
		cmocka_unit_test_setup(test_reborn, fresh),
		cmocka_unit_test_setup(test_reborn_generation, fresh),
		cmocka_unit_test_setup(test_generations, fresh),
		cmocka_unit_test_setup(test_random_walk, fresh),
	};

	seed_start(61);
	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
