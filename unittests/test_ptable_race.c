/* SPDX-License-Identifier: MIT */
/*
 * ptable_prepare() on two CPUs at once: mm/ptable.c is included, so that another CPU's turn can come in
 * the middle of any allocation of a table, where it makes some of the same tables itself.
 */
#include "unittests/ptable_formats.h"
#include "mm/page.h"

static void *page_alloc_with_a_turn(unsigned int order, enum mem_class class,
				    struct mem_owner *owner);
#define page_alloc page_alloc_with_a_turn
#include "mm/ptable.c"
#undef page_alloc

#include "unittests/seed.h"

#define P  PAGE_SIZE
#define M2 PAGE_SIZE_2M
#define G1 PAGE_SIZE_1G

static struct ptable pt;
static uint64_t turn_after, turn_va,
	turn_len; /* allocations until the other CPU's turn; 0: never */

static void *page_alloc_with_a_turn(unsigned int order, enum mem_class class,
				    struct mem_owner *owner)
{
	void *page = page_alloc(order, class, owner);

	if (turn_after && --turn_after == 0)
		assert_int_equal(ptable_prepare(&pt, turn_va, turn_len, 0), 0);
	return page;
}

/* Tables from @table on. */
static uint64_t count(hpa_t table, unsigned int level)
{
	const uint64_t *entries = table_hva(&pt, table);
	uint64_t nr = 1;

	for (unsigned int i = 0; level > 0 && i < ENTRIES; i++)
		if (entry_present(&pt, entries[i]) && !entry_is_leaf(&pt, entries[i], level))
			nr += count(entry_hpa(entries[i], 0), level - 1);
	return nr;
}

/* As many tables as @va.. and the other CPU's range need, none lost, and both can be mapped. */
static void race(const struct table_kind *kind, uint64_t va, uint64_t len, uint64_t other,
		 uint64_t other_len, uint64_t after)
{
	uint64_t used = memory_used(), alone;

	assert_int_equal(ptable_init(&pt, kind->format, kind->class, kind_owner(kind)), 0);
	assert_int_equal(ptable_prepare(&pt, va, len, 0), 0);
	assert_int_equal(ptable_prepare(&pt, other, other_len, 0), 0);
	alone = pt.nr_tables;
	ptable_destroy(&pt);

	assert_int_equal(ptable_init(&pt, kind->format, kind->class, kind_owner(kind)), 0);
	turn_va = other;
	turn_len = other_len;
	turn_after = after;
	assert_int_equal(ptable_prepare(&pt, va, len, 0), 0);
	if (turn_after) /* it needed fewer tables */
		assert_int_equal(ptable_prepare(&pt, other, other_len, 0), 0);
	turn_after = 0;
	assert_int_equal(pt.nr_tables, alone);
	assert_int_equal(count(pt.root, PT_LEVELS - 1), alone);
	assert_int_equal(memory_used(), used + alone);
	ptable_map(&pt, va, HPA(G1), len, 0, PROT_RW);
	ptable_unmap(&pt, va, len);
	ptable_map(&pt, other, HPA(G1), other_len, 0, PROT_RW);
	ptable_destroy(&pt);
	assert_int_equal(memory_used(), used);
}

/* The turn comes at each allocation in turn, with the same range and with one that shares less. */
static void test_each_table(void **state)
{
	static const uint64_t others[] = { 0, P, M2, G1, 512 * G1 };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(table_kinds); k++)
		for (unsigned int o = 0; o < ARRAY_SIZE(others); o++)
			for (uint64_t after = 1; after <= 3; after++)
				race(&table_kinds[k], table_kinds[k].base, P,
				     table_kinds[k].base + others[o], P, after);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 500; i++) {
		const struct table_kind *kind = &table_kinds[i % 2];
		uint64_t base = kind->base + 512 * G1 - 4 * M2, va[2], len[2];

		for (unsigned int j = 0; j < 2; j++) {
			va[j] = base + seed_below(8 * 512) * P;
			len[j] = (1 + seed_below(1500)) * P;
		}
		race(kind, va[0], len[0], va[1], len[1], 1 + seed_below(8));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_table),
					    cmocka_unit_test(test_random) };

	seed_start(0x4ace);
	return cmocka_run_group_tests(tests, table_kinds_setup, table_kinds_teardown);
}
