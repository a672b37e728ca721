/* SPDX-License-Identifier: MIT */
/*
 * ptable_unmap_exact() and ptable_table(), in both formats: exactly the pages asked for go,
 * whatever leaves they lie in, and without memory none. A table of cases, each allocation failing
 * in turn, and a random walk against one record per page.
 */
#include <string.h>
#include "unittests/ptable_one.h"
#include "unittests/seed.h"
#include "lib/errno.h"

/* For expect_assert_failure(): a warning-free way to drop the result. */
static void unmap_exact(uint64_t va, uint64_t len)
{
	assert_int_equal(ptable_unmap_exact(&pt, va, len), 0);
}

/* Of the leaf [@va, @va + @size), exactly the pages of [@hole, @hole + @len) are absent. */
static void check_hole(uint64_t va, uint64_t hpa, uint64_t size, uint64_t hole, uint64_t len,
		       unsigned int prot)
{
	for (uint64_t at = 0; at < size; at += P) {
		struct pt_walk w = ptable_walk(&pt, va + at);
		bool gone = va + at - hole < len;

		assert_int_equal(w.present, !gone);
		if (gone) {
			assert_int_equal(w.entry, PTE_ABSENT);
			continue;
		}
		assert_int_equal(w.hpa.v, hpa + at);
		assert_true(leaf_is_right(pt.format, w.entry, w.rights, w.level, prot));
	}
	assert_false(ptable_walk(&pt, va - 1).present);
	assert_false(ptable_walk(&pt, va + size).present);
}

/* A hole in one large leaf; how many tables the cuts need, and no more are made. */
static const struct hole {
	unsigned int level; /* of the leaf */
	uint64_t at, len, tables;
} holes[] = {
	{ 1, 0, P, 1 },
	{ 1, M2 - P, P, 1 },
	{ 1, 17 * P, 100 * P, 1 },
	{ 1, P, M2 - 2 * P, 1 },
	{ 1, 0, M2, 0 },
	{ 2, 0, G1, 0 },
	{ 2, 0, M2, 1 },
	{ 2, 5 * M2, 7 * M2, 1 },
	{ 2, G1 - M2, M2, 1 },
	{ 2, 0, P, 2 },
	{ 2, G1 - P, P, 2 },
	{ 2, 5 * M2 + P, P, 2 },
	{ 2, 5 * M2 - P, 2 * P, 3 }, /* in two of the smaller leaves */
	{ 2, 5 * M2, M2 + P, 2 },    /* the first cut needs the second level only */
	{ 2, 4 * M2 + P, 9 * M2, 3 },
	{ 2, P, G1 - 2 * P, 3 },
};

static void test_holes(void **state)
{
	static const unsigned int prots[] = { PROT_R, PROT_RW, PROT_RX, PROT_RWX };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds) * ARRAY_SIZE(holes); k++) {
		const struct table_kind *kind = &table_kinds[k / ARRAY_SIZE(holes)];
		const struct hole *h = &holes[k % ARRAY_SIZE(holes)];
		uint64_t va = kind->base + 3 * G1, size = pt_level_size(h->level), before;
		unsigned int prot = prots[k % ARRAY_SIZE(prots)];

		start(kind);
		map(va, 9 * G1, size, h->level, prot);
		before = pt.nr_tables;
		unmap_exact(va + h->at, h->len);
		assert_int_equal(pt.nr_tables, before + h->tables);
		check_hole(va, 9 * G1, size, va + h->at, h->len, prot);
		/* Again: there is nothing to cut any more. */
		buddy_fail_after(1);
		unmap_exact(va + h->at, h->len);
		buddy_fail_after(0);
		check_hole(va, 9 * G1, size, va + h->at, h->len, prot);
		finish();
	}
}

/* Each table of a cut fails in turn: -ENOMEM, and every address translates as before. */
static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds) * ARRAY_SIZE(holes); k++) {
		const struct table_kind *kind = &table_kinds[k / ARRAY_SIZE(holes)];
		const struct hole *h = &holes[k % ARRAY_SIZE(holes)];
		uint64_t va = kind->base + 3 * G1, size = pt_level_size(h->level);

		for (uint64_t n = 1; n <= h->tables; n++) {
			start(kind);
			map(va, 9 * G1, size, h->level, PROT_RW);
			buddy_fail_after(n);
			assert_int_equal(ptable_unmap_exact(&pt, va + h->at, h->len), -ENOMEM);
			check_hole(va, 9 * G1, size, 0, 0, PROT_RW);
			unmap_exact(va + h->at, h->len);
			check_hole(va, 9 * G1, size, va + h->at, h->len, PROT_RW);
			finish();
		}
	}
}

/* Over several leaves of all sizes, holes between them, and the end of the address space. */
static void test_many_leaves(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t va = table_kinds[k].base + 510 * G1;

		start(&table_kinds[k]);
		map(va, 0, G1, 2, PROT_RW);
		map(va + G1 + 3 * P, G1, P, 0, PROT_R);
		map(va + 2 * G1, 2 * G1, 2 * M2, 1, PROT_RW);
		unmap_exact(va + G1 - 3 * P, G1 + M2 + 4 * P);
		check_hole(va, 0, G1, va + G1 - 3 * P, 3 * P, PROT_RW);
		assert_false(ptable_walk(&pt, va + G1 + 3 * P).present);
		check_hole(va + 2 * G1, 2 * G1, 2 * M2, va + 2 * G1, M2 + P, PROT_RW);
		unmap_exact(va + 50 * G1, G1 + P); /* nothing there at all */
		finish();
	}
	start(&table_kinds[0]);
	map(-M2, 0, M2, 1, PROT_R);
	unmap_exact(-2 * P, 2 * P);
	assert_true(ptable_walk(&pt, -2 * P - 1).present);
	assert_false(ptable_walk(&pt, ~0UL).present);
	finish();
}

static void test_misuse(void **state)
{
	(void)state;
	start(&table_kinds[0]);
	map(DIRECTMAP_BASE, 0, M2, 1, PROT_RW);
	expect_assert_failure(unmap_exact(DIRECTMAP_BASE, 0));
	expect_assert_failure(unmap_exact(DIRECTMAP_BASE + 1, P));
	expect_assert_failure(unmap_exact(DIRECTMAP_BASE, P + 8));
	check_hole(DIRECTMAP_BASE, 0, M2, 0, 0, PROT_RW);
	finish();
}

/* The table of each level on the way to an address, the same by every way; none below a leaf. */
static void test_table(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		const struct table_kind *kind = &table_kinds[k];
		uint64_t va = kind->base;
		struct ptable sharer;

		start(kind);
		map(va, 0, P, 0, PROT_RW);
		map(va + M2, 0, M2, 1, PROT_RW);
		map(va + G1, 0, G1, 2, PROT_RW);
		assert_int_equal(ptable_table(&pt, va, 3).v, pt.root.v);
		assert_int_equal(ptable_table(&pt, va + 511 * G1, 3).v, pt.root.v);
		for (unsigned int level = 0; level < 3; level++) {
			const uint64_t *table = kind_table(kind, ptable_table(&pt, va, level + 1));
			uint64_t next = ptable_table(&pt, va, level).v;

			assert_int_equal(next % P, 0);
			assert_int_equal(table[va >> (PAGE_SHIFT + 9 * (level + 1)) & 511] &
						 PTE_ADDR_MASK,
					 next);
			/* Its last address too. */
			va += pt_level_size(level + 1) - 1;
			assert_int_equal(ptable_table(&pt, va, level).v, next);
			va = kind->base;
		}

		assert_int_equal(ptable_init(&sharer, kind->format, kind->class, kind_owner(kind)),
				 0);
		ptable_share(&sharer, va, &pt, va, 3);
		assert_int_equal(ptable_table(&sharer, va, 3).v, sharer.root.v);
		for (unsigned int level = 0; level < 3; level++)
			assert_int_equal(ptable_table(&sharer, va, level).v,
					 ptable_table(&pt, va, level).v);
		ptable_unshare(&sharer, va, 3);
		assert_int_equal(sharer.nr_removed, 1);
		ptable_destroy(&sharer);
		finish();
	}
}

/* Each translation that goes is counted, and said to who takes it out; a flush settles his account and no other's. */
static void test_flush_account(void **state)
{
	const struct table_kind *kind = &table_kinds[0];
	uint64_t va = kind->base;

	(void)state;
	start(kind);
	map(va, 0, 2 * M2, 1, PROT_RW);
	assert_true(pt.nr_removed == 0 && pt.nr_flushed == 0);
	assert_int_equal(ptable_unmap(&pt, va, M2), 1);
	assert_int_equal(ptable_unmap(&pt, va, M2), 0); /* absent already */
	assert_int_equal(pt.nr_removed, 1);
	assert_int_equal(ptable_split(&pt, va + M2, 0), 0);
	assert_int_equal(pt.nr_removed, 2);
	assert_int_equal(ptable_unmap(&pt, va + M2, 3 * P), 3);
	assert_int_equal(pt.nr_removed, 5);
	ptable_note_flush(&pt, 3); /* the later one is settled first */
	ptable_note_flush(&pt, 1);
	assert_int_equal(pt.nr_flushed, 4); /* the split has not been flushed */
	ptable_note_flush(&pt, 1);
	assert_int_equal(pt.nr_flushed, 5);
	finish();
}

#define NR_PAGES (1UL << 19) /* 2 GiB */
#define STEPS	 3000

static bool mapped[NR_PAGES];

/* What is mapped now, by the visitor of leaves: it may take a leaf of any size. */
static bool count_leaf(const struct pt_leaf *leaf, void *arg)
{
	uint64_t *sum = arg, first = (leaf->va - sum[1]) / P;

	assert_true(leaf->present && leaf->hpa.v == 5 * G1 + first * P);
	for (uint64_t i = first; i < first + leaf->size / P; i++)
		assert_true(mapped[i]);
	sum[0] += leaf->size / P;
	return true;
}

static void check_all(uint64_t base)
{
	uint64_t sum[2] = { 0, base }, want = 0;

	for (uint64_t i = 0; i < NR_PAGES; i++)
		want += mapped[i];
	assert_true(ptable_for_each(&pt, 0, 0, count_leaf, sum));
	assert_int_equal(sum[0], want);
}

/* Random holes of any length in 2 GiB of the largest leaves, sometimes without memory. */
static void test_random_walk(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < 2 * ARRAY_SIZE(table_kinds); k++) {
		const struct table_kind *kind = &table_kinds[k % 2];

		start(kind);
		map(kind->base, 5 * G1, G1, 2, PROT_RW);
		map(kind->base + G1, 6 * G1, G1, k < 2 ? 2 : 1, PROT_RW);
		memset(mapped, true, sizeof(mapped));
		for (unsigned int step = 0; step < STEPS; step++) {
			uint64_t first = seed_below(NR_PAGES);
			uint64_t nr = 1 + seed_below(seed_below(50) ? 40 : 2000);
			bool fail = seed_below(8) == 0;
			int err;

			nr = MIN(nr, NR_PAGES - first);
			buddy_fail_after(fail);
			err = ptable_unmap_exact(&pt, kind->base + first * P, nr * P);
			buddy_fail_after(0);
			assert_true(err == 0 || (fail && err == -ENOMEM));
			if (!err)
				memset(&mapped[first], false, nr);
			if (step % 300 == 0)
				check_all(kind->base);
		}
		check_all(kind->base);
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holes),	    cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_many_leaves), cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_table),	    cmocka_unit_test(test_flush_account),
		cmocka_unit_test(test_random_walk),
	};

	seed_start(0xe8ac7);
	return cmocka_run_group_tests(tests, table_kinds_setup, table_kinds_teardown);
}
