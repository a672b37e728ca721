/* SPDX-License-Identifier: MIT */
/* mm/ptable.c, every case in both formats: the host's tables and EPT. Random walk: test_ptable_walk.c. */
#include "unittests/ptable_one.h"
#include "lib/errno.h"

/* [@va, @va + @len) translates to @hpa on with @prot by leaves of @level; the bytes around it do not. */
static void check_range(uint64_t va, uint64_t hpa, uint64_t len, unsigned int level,
			unsigned int prot)
{
	uint64_t size = pt_level_size(level);

	for (uint64_t at = 0; at < len; at += size) {
		uint64_t probes[] = { at, at + 0x123, at + size - 1 };

		for (unsigned int i = 0; i < ARRAY_SIZE(probes); i++) {
			struct pt_walk w = ptable_walk(&pt, va + probes[i]);

			assert_true(w.present && w.level == level);
			assert_int_equal(w.hpa.v, hpa + probes[i]);
			assert_true(leaf_is_right(pt.format, w.entry, w.rights, level, prot));
		}
	}
	assert_int_equal(ptable_walk(&pt, va - 1).entry, PTE_ABSENT);
	assert_int_equal(ptable_walk(&pt, va + len).entry, PTE_ABSENT);
}

/* Exactly the range is mapped, by leaves of the level asked for, with each right; and unmapped again. */
static void test_ranges(void **state)
{
	static const struct {
		uint64_t offset, len;
		unsigned int level;
		uint64_t tables; /* besides the root */
	} cases[] = {
		{ 0, P, 0, 3 },
		{ 5 * P, 3 * P, 0, 3 },
		{ M2 - P, 2 * P, 0, 4 },       /* from one table into the next */
		{ M2 - P, M2 + 2 * P, 0, 5 },  /* over a whole one */
		{ G1 - P, 2 * P, 0, 5 },       /* over a boundary of level 1 */
		{ 512 * G1 - P, 2 * P, 0, 6 }, /* of level 2 */
		{ 0, M2, 1, 2 },
		{ 3 * M2, 5 * M2, 1, 2 },
		{ G1 - M2, 2 * M2, 1, 3 },
		{ 512 * G1 - M2, 2 * M2, 1, 4 },
		{ G1, G1, 2, 1 },
		{ 511 * G1, 3 * G1, 2, 2 },
	};
	static const unsigned int prots[] = { PROT_R, PROT_RW, PROT_RX, PROT_RWX };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds) * ARRAY_SIZE(prots); k++) {
		const struct table_kind *kind = &table_kinds[k / ARRAY_SIZE(prots)];
		unsigned int prot = prots[k % ARRAY_SIZE(prots)];

		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			uint64_t va = kind->base + cases[i].offset, hpa = 77 * G1;

			start(kind);
			map(va, hpa, cases[i].len, cases[i].level, prot);
			assert_int_equal(pt.nr_tables, 1 + cases[i].tables);
			check_range(va, hpa, cases[i].len, cases[i].level, prot);
			ptable_unmap(&pt, va, cases[i].len);
			for (uint64_t at = 0; at < cases[i].len; at += P)
				assert_int_equal(ptable_walk(&pt, va + at).entry, PTE_ABSENT);
			assert_int_equal(pt.nr_tables, 1 + cases[i].tables);
			finish();
		}
	}
}

/* The last byte of the address space is no special case. */
static void test_top(void **state)
{
	struct pt_walk w;

	(void)state;
	start(&table_kinds[0]);
	map(-2 * P, 8 * P, 2 * P, 0, PROT_R);
	w = ptable_walk(&pt, ~0UL);
	assert_true(w.present && w.hpa.v == 10 * P - 1);
	assert_int_equal(pt.nr_tables, 4);
	ptable_unmap(&pt, -2 * P, 2 * P);
	assert_false(ptable_walk(&pt, ~0UL).present);
	finish();
}

/* For expect_assert_failure(): a warning-free way to drop the result. */
static void prepare(uint64_t va, uint64_t len, unsigned int level)
{
	assert_int_equal(ptable_prepare(&pt, va, len, level), 0);
}

/* Ranges that are no whole tables, and a second preparation, make each table once. */
static void test_prepare_odd(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t base = table_kinds[k].base;

		start(&table_kinds[k]);
		assert_int_equal(ptable_prepare(&pt, base + M2 - 1, 2, 0), 0);
		assert_int_equal(pt.nr_tables, 1 + 2 + 2);
		assert_int_equal(ptable_prepare(&pt, base + 1, M2, 0), 0);
		assert_int_equal(pt.nr_tables, 1 + 2 + 2);
		assert_int_equal(ptable_prepare(&pt, base + G1 - 1, 1, 1), 0);
		assert_int_equal(pt.nr_tables, 1 + 2 + 2);
		assert_int_equal(ptable_prepare(&pt, base + G1 - 1, G1 + 2, 1), 0);
		assert_int_equal(pt.nr_tables, 1 + 2 + 2 + 2);
		assert_int_equal(ptable_prepare(&pt, base + 512 * G1, 1, 2), 0);
		assert_int_equal(pt.nr_tables, 1 + 2 + 2 + 2 + 1);
		finish();
	}
}

/* Each allocation fails in turn: -ENOMEM, nothing is mapped, and destroy gives all tables back. */
static void test_prepare_fails(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t va = table_kinds[k].base + 512 * G1 - M2 - P, len = 2 * M2;
		uint64_t needs = 2 + 2 + 3; /* of levels 2, 1 and 0, under the root */

		for (uint64_t n = 1; n <= needs; n++) {
			start(&table_kinds[k]);
			buddy_fail_after(n);
			assert_int_equal(ptable_prepare(&pt, va, len, 0), -ENOMEM);
			assert_int_equal(pt.nr_tables, n);
			assert_int_equal(ptable_walk(&pt, va).entry, PTE_ABSENT);
			/* And there is nothing wrong with trying again. */
			assert_int_equal(ptable_prepare(&pt, va, len, 0), 0);
			assert_int_equal(pt.nr_tables, 1 + needs);
			finish();
		}
		used_before = memory_used();
		buddy_fail_after(1);
		assert_int_equal(ptable_init(&pt, table_kinds[k].format, table_kinds[k].class,
					     kind_owner(&table_kinds[k])),
				 -ENOMEM);
		assert_int_equal(memory_used(), used_before);
	}
}

/* A large leaf in smaller ones translates every address as before, with the same rights. */
static void test_split(void **state)
{
	static const unsigned int prots[] = { PROT_R, PROT_RW, PROT_RX, PROT_RWX };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds) * ARRAY_SIZE(prots); k++) {
		const struct table_kind *kind = &table_kinds[k % ARRAY_SIZE(table_kinds)];
		unsigned int prot = prots[k / ARRAY_SIZE(table_kinds)];
		uint64_t va = kind->base + 3 * G1, hpa = 9 * G1;

		start(kind);
		map(va, hpa, G1, 2, prot);
		assert_int_equal(ptable_split(&pt, va + 7 * M2 + 5 * P, 2), 0);
		assert_int_equal(pt.nr_tables, 2);
		assert_int_equal(ptable_split(&pt, va + 7 * M2 + 5 * P, 1), 0);
		assert_int_equal(pt.nr_tables, 3);
		check_range(va, hpa, G1, 1, prot);
		assert_int_equal(ptable_split(&pt, va + 7 * M2 + 5 * P, 0), 0);
		assert_int_equal(pt.nr_tables, 4);
		for (uint64_t at = 0; at < G1; at += P) {
			struct pt_walk w = ptable_walk(&pt, va + at);

			assert_true(w.present && w.hpa.v == hpa + at);
			assert_int_equal(w.level, at / M2 == 7 ? 0 : 1);
			assert_true(leaf_is_right(pt.format, w.entry, w.rights, w.level, prot));
		}
		/* Two levels at once; where nothing is mapped there is nothing to do. */
		map(va + G1, hpa, G1, 2, prot);
		assert_int_equal(ptable_split(&pt, va + G1, 0), 0);
		assert_int_equal(pt.nr_tables, 6);
		assert_int_equal(ptable_split(&pt, va + 2 * G1, 0), 0);
		assert_int_equal(pt.nr_tables, 6);
		finish();
	}
}

/* Without memory a split leaves every translation as it was. */
static void test_split_fails(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t va = table_kinds[k].base;

		for (unsigned int n = 1; n <= 2; n++) {
			start(&table_kinds[k]);
			map(va + G1, 5 * G1, G1, 2, PROT_RW);
			buddy_fail_after(n);
			assert_int_equal(ptable_split(&pt, va + G1, 0), -ENOMEM);
			check_range(va + G1, 5 * G1, G1, n == 1 ? 2 : 1, PROT_RW);
			finish();
		}
	}
}

static void misuse(const struct table_kind *kind)
{
	uint64_t va = kind->base + G1;

	start(kind);
	map(va, 0, 2 * M2, 1, PROT_RW);
	expect_assert_failure(prepare(va, 0, 0));
	expect_assert_failure(prepare(va, P, 3));
	expect_assert_failure(prepare(va + M2 + P, P, 0));
	expect_assert_failure(ptable_unmap(&pt, va, P));
	expect_assert_failure(ptable_unmap(&pt, va + P, M2 - P));
	expect_assert_failure(ptable_unmap(&pt, va + M2 + P, M2 - P));
	expect_assert_failure(ptable_map(&pt, va, HPA(0), M2, 1, PROT_R));
	expect_assert_failure(ptable_map(&pt, va, HPA(0), P, 0, PROT_R));
	expect_assert_failure(ptable_map(&pt, va + G1, HPA(0), P, 0, PROT_R));
	expect_assert_failure(ptable_map(&pt, va + 2 * M2, HPA(0), G1, 2, PROT_R));
	expect_assert_failure(ptable_map(&pt, va + 2 * M2, HPA(P), M2, 1, PROT_R));
	expect_assert_failure(ptable_map(&pt, va + 2 * M2 + P, HPA(0), M2, 1, PROT_R));
	expect_assert_failure(ptable_map(&pt, va + 2 * M2, HPA(0), P, 1, PROT_R));
	check_range(va, 0, 2 * M2, 1, PROT_RW);
	finish();
}

/* What would be a half-mapped leaf, a second mapping or a missing table is an assertion. */
static void test_misuse(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++)
		misuse(&table_kinds[k]);
}

/* Holes in a range are no obstacle to its unmapping, whatever the leaves around them. */
static void test_unmap_holes(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t va = table_kinds[k].base + 510 * G1;

		start(&table_kinds[k]);
		map(va + 3 * P, P, P, 0, PROT_R);
		map(va + 4 * M2, M2, M2, 1, PROT_R);
		map(va + 3 * G1, G1, G1, 2, PROT_R);
		map(va + 5 * G1 + P, P, P, 0, PROT_R);
		ptable_unmap(&pt, va + 2 * P, 5 * G1 - P);
		assert_false(ptable_walk(&pt, va + 3 * P).present);
		assert_false(ptable_walk(&pt, va + 4 * M2).present);
		assert_false(ptable_walk(&pt, va + 3 * G1).present);
		assert_true(ptable_walk(&pt, va + 5 * G1 + P).present);
		finish();
	}
}

static void share(const struct table_kind *kind, unsigned int level)
{
	uint64_t va = kind->base, other = va + 3 * 512 * G1, used;
	struct ptable sharer;

	start(kind);
	prepare(va, P, 0);
	used = memory_used();
	assert_int_equal(ptable_init(&sharer, kind->format, kind->class, kind_owner(kind)), 0);
	if (level < 3)
		assert_int_equal(ptable_prepare(&sharer, other, P, level), 0);
	expect_assert_failure(ptable_share(&sharer, other, &pt, va + 512 * G1, level));
	expect_assert_failure(ptable_unshare(&sharer, other, level));
	ptable_share(&sharer, other, &pt, va, level);
	expect_assert_failure(ptable_share(&sharer, other, &pt, va, level));

	ptable_map(&pt, va, HPA(7 * P), P, 0, PROT_RW);
	assert_int_equal(ptable_walk(&sharer, other + 5).hpa.v, 7 * P + 5);
	ptable_unmap(&pt, va, P);
	assert_int_equal(ptable_walk(&sharer, other).entry, PTE_ABSENT);
	ptable_map(&pt, va, HPA(8 * P), P, 0, PROT_RW);
	ptable_unshare(&sharer, other, level);
	assert_int_equal(ptable_walk(&sharer, other).entry, PTE_ABSENT);
	ptable_destroy(&sharer);
	assert_int_equal(memory_used(), used);
	assert_int_equal(ptable_walk(&pt, va).hpa.v, 8 * P);
	finish();
}

/* Tables that are shared show the owner's changes at once, and the sharer does not free them. */
static void test_share(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++)
		for (unsigned int level = 1; level < PT_LEVELS; level++)
			share(&table_kinds[k], level);
}

struct visited {
	unsigned int nr, stop_after;
	struct pt_leaf leaf[8];
};

static bool visit(const struct pt_leaf *leaf, void *arg)
{
	struct visited *v = arg;

	assert_true(v->nr < ARRAY_SIZE(v->leaf));
	v->leaf[v->nr++] = *leaf;
	return v->nr != v->stop_after;
}

/* Exactly the leaves that touch the range are visited, in order, with what a walk says of them. */
static void test_for_each(void **state)
{
	static const struct {
		uint64_t from, len;
		unsigned int first, nr;
	} cases[] = {
		{ 0, 0, 0, 4 },
		{ 0, P, 0, 0 },
		{ 3 * P, P, 0, 1 },
		{ 4 * P, 512 * G1, 1, 2 },
		{ M2, M2 - 1, 0, 0 },
		{ 2 * M2 + P, 1, 1, 1 }, /* inside a leaf */
		{ 3 * P, 2 * M2 - 3 * P, 0, 1 },
		{ 3 * P, 2 * M2 - 3 * P + 1, 0, 2 },
		{ 512 * G1, 513 * G1, 3, 1 },
	};
	static const uint64_t at[] = { 3 * P, 2 * M2, 510 * G1, 513 * G1 };
	static const unsigned int levels[] = { 0, 1, 2, 0 };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++) {
		uint64_t base = table_kinds[k].base;
		struct visited v = { .stop_after = 2 };

		start(&table_kinds[k]);
		for (unsigned int i = 0; i < ARRAY_SIZE(at); i++)
			map(base + at[i], i * G1, pt_level_size(levels[i]), levels[i], PROT_RW);
		assert_false(ptable_for_each(&pt, base, 0, visit, &v));
		assert_int_equal(v.nr, 2);
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			v = (struct visited){ 0 };
			assert_true(ptable_for_each(&pt, base + cases[i].from, cases[i].len, visit,
						    &v));
			assert_int_equal(v.nr, cases[i].nr);
			for (unsigned int n = 0; n < v.nr; n++) {
				unsigned int want = cases[i].first + n;
				struct pt_walk w = ptable_walk(&pt, base + at[want]);

				assert_true(v.leaf[n].present);
				assert_int_equal(v.leaf[n].va, base + at[want]);
				assert_int_equal(v.leaf[n].size, pt_level_size(levels[want]));
				assert_int_equal(v.leaf[n].hpa.v, want * G1);
				assert_int_equal(v.leaf[n].entry, w.entry);
				assert_int_equal(v.leaf[n].rights, w.rights);
			}
		}
		finish();
	}
}

/* An absent entry that holds a frame is visited too, at each level; one that holds none is not. */
static void test_for_each_absent(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds) * PT_LEVELS; k++) {
		const struct table_kind *kind = &table_kinds[k / PT_LEVELS];
		unsigned int level = k % PT_LEVELS;
		struct visited v = { 0 };
		uint64_t *entry, first = 0;

		start(kind);
		assert_int_equal(ptable_prepare(&pt, kind->base, P, 0), 0);
		entry = kind_table(kind, pt.root);
		for (unsigned int l = PT_LEVELS - 1; l > level; l--) {
			first = l == PT_LEVELS - 1 ? kind->base >> 39 & 511 : 0;
			entry = kind_table(kind, HPA(entry[first] & PTE_ADDR_MASK));
		}
		first = level == PT_LEVELS - 1 ? kind->base >> 39 & 511 : 0;
		assert_true(ptable_for_each(&pt, kind->base, 0, visit, &v));
		assert_int_equal(v.nr, 0);
		entry[first + 1] = 5 * P;
		assert_true(ptable_for_each(&pt, kind->base, 0, visit, &v));
		assert_int_equal(v.nr, 1);
		assert_false(v.leaf[0].present);
		assert_int_equal(v.leaf[0].va, kind->base + pt_level_size(level));
		assert_int_equal(v.leaf[0].entry, 5 * P);
		entry[first + 1] = 0; /* frame 0 is a frame */
		assert_true(ptable_for_each(&pt, kind->base, 0, visit, &v));
		assert_int_equal(v.nr, 2);
		entry[first + 1] = PTE_ABSENT;
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),		cmocka_unit_test(test_top),
		cmocka_unit_test(test_prepare_odd),	cmocka_unit_test(test_prepare_fails),
		cmocka_unit_test(test_split),		cmocka_unit_test(test_split_fails),
		cmocka_unit_test(test_misuse),		cmocka_unit_test(test_unmap_holes),
		cmocka_unit_test(test_share),		cmocka_unit_test(test_for_each),
		cmocka_unit_test(test_for_each_absent),
	};

	return cmocka_run_group_tests(tests, table_kinds_setup, table_kinds_teardown);
}
