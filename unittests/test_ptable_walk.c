/* SPDX-License-Identifier: MIT */
/*
 * mm/ptable.c against a model that has one record per page: random preparing, mapping, unmapping and
 * splitting in 4 GiB that lie across a boundary of the root's entries.
 */
#include <string.h>
#include "unittests/ptable_formats.h"
#include "unittests/seed.h"
#include "lib/errno.h"

#define ROUNDS	    30
#define ROUND_STEPS 2000
#define NR_PAGES    (1UL << 20)
#define UNITS_2M    (NR_PAGES >> 9)
#define UNITS_1G    (NR_PAGES >> 18)

/* Of one page; a leaf's pages all have its level. */
struct model_page {
	uint64_t pfn : 40; /* + 1; 0 if absent */
	uint64_t level : 4, prot : 4;
};

static struct {
	struct ptable pt;
	uint64_t base;
	struct model_page page[NR_PAGES];
	bool table0[UNITS_2M], table1[UNITS_1G], table2[2]; /* exists */
} t;

static uint64_t leaf_pages(unsigned int level)
{
	return 1UL << 9 * level;
}

static uint64_t leaf_start(uint64_t page)
{
	return ALIGN_DOWN(page, leaf_pages(t.page[page].pfn ? t.page[page].level : 0));
}

static uint64_t leaf_end(uint64_t page)
{
	return leaf_start(page) + leaf_pages(t.page[page].pfn ? t.page[page].level : 0);
}

static uint64_t nr_tables(void)
{
	uint64_t nr = 1;

	for (unsigned int i = 0; i < UNITS_2M; i++)
		nr += t.table0[i];
	for (unsigned int i = 0; i < UNITS_1G; i++)
		nr += t.table1[i];
	return nr + t.table2[0] + t.table2[1];
}

/* Puts down that the tables above leaves of @level exist; false if one did not. */
static bool note_tables(uint64_t page, unsigned int level)
{
	bool *needed[] = { &t.table2[page / (NR_PAGES / 2)], &t.table1[page >> 18],
			   &t.table0[page >> 9] };
	bool existed = true;

	for (unsigned int i = 0; i + level < 3; i++) {
		existed &= *needed[i];
		*needed[i] = true;
	}
	return existed;
}

static void check_page(uint64_t page)
{
	struct model_page m = t.page[page];
	struct pt_walk w = ptable_walk(&t.pt, t.base + page * PAGE_SIZE + 0x7c3);

	assert_int_equal(w.present, m.pfn != 0);
	if (!m.pfn) {
		assert_int_equal(w.entry, PTE_ABSENT);
		return;
	}
	assert_int_equal(w.hpa.v, (m.pfn - 1) * PAGE_SIZE + 0x7c3);
	assert_int_equal(w.level, m.level);
	assert_true(leaf_is_right(t.pt.format, w.entry, w.rights, m.level, m.prot));
}

static void check_around(uint64_t first, uint64_t end)
{
	uint64_t pages[] = { first ? first - 1 : 0,  first,
			     (first + end) / 2,	     end - 1,
			     MIN(end, NR_PAGES - 1), seed_below(NR_PAGES),
			     seed_below(NR_PAGES) };

	for (unsigned int i = 0; i < ARRAY_SIZE(pages); i++)
		check_page(pages[i]);
}

static bool check_leaf(const struct pt_leaf *leaf, void *arg)
{
	uint64_t page = (leaf->va - t.base) / PAGE_SIZE, *seen = arg;

	assert_true(leaf->present && page < NR_PAGES);
	check_page(page);
	assert_int_equal(leaf->size, PAGE_SIZE * leaf_pages(t.page[page].level));
	*seen += leaf->size / PAGE_SIZE;
	return true;
}

/* The whole address space: what is mapped is what the model has mapped, and nothing else. */
static void check_everything(void)
{
	uint64_t mapped = 0, seen = 0;

	for (uint64_t i = 0; i < NR_PAGES; i++) {
		if (t.page[i].pfn && t.page[i].level == 0)
			check_page(i);
		mapped += t.page[i].pfn != 0;
	}
	assert_true(ptable_for_each(&t.pt, 0, 0, check_leaf, &seen));
	assert_int_equal(seen, mapped);
	assert_int_equal(t.pt.nr_tables, nr_tables());
}

/* Whether leaves of @level could have tables at @page: no larger leaf is in the way. */
static bool can_prepare(uint64_t page, unsigned int level)
{
	return !t.page[page].pfn || t.page[page].level <= level;
}

/* Whether @page, aligned, can have a leaf: the entry is absent. */
static bool can_map(uint64_t page, unsigned int level)
{
	if (t.page[page].pfn)
		return false;
	return level == 0 || !(level == 1 ? t.table0[page >> 9] : t.table1[page >> 18]);
}

static unsigned int random_level(void)
{
	uint64_t dice = seed_below(64);

	return dice == 0 ? 2 : dice < 24 ? 1 : 0;
}

/* Maybe makes the next allocation fail; then nothing happens but -ENOMEM, if one is needed at all. */
static bool prepare(uint64_t page, uint64_t pages, unsigned int level)
{
	bool fail = seed_below(16) == 0, existed = true;
	int err;

	for (uint64_t i = page; i < page + pages; i++)
		existed &= can_prepare(i, level);
	if (!existed)
		return false; /* in the way */
	buddy_fail_after(fail);
	err = ptable_prepare(&t.pt, t.base + page * PAGE_SIZE, pages * PAGE_SIZE, level);
	buddy_fail_after(0);
	if (err) {
		assert_true(fail && err == -ENOMEM);
		/* The first missing table failed: those of the pages before it exist. */
		return false;
	}
	for (uint64_t i = page; i < page + pages; i++)
		existed &= note_tables(i, level);
	assert_true(existed || !fail);
	return true;
}

static void step_map(void)
{
	unsigned int level = random_level(), prot = PROT_R | (unsigned int)seed_below(4) << 1;
	uint64_t size = leaf_pages(level),
		 nr = 1 + seed_below(level == 2 ? 2 : 12) + seed_below(2) * 8;
	uint64_t page = ALIGN_DOWN(seed_below(NR_PAGES), size), pfn;

	nr = MIN(nr * size, NR_PAGES - page) / size;
	for (uint64_t i = 0; i < nr; i++)
		if (!can_map(page + i * size, level))
			nr = i;
	if (!nr || !prepare(page, nr * size, level))
		return;
	pfn = ALIGN_DOWN(seed_below(1UL << 28), size);
	ptable_map(&t.pt, t.base + page * PAGE_SIZE, HPA(pfn * PAGE_SIZE), nr * size * PAGE_SIZE,
		   level, prot);
	for (uint64_t i = 0; i < nr * size; i++)
		t.page[page + i] = (struct model_page){ pfn + i + 1, level, prot };
	check_around(page, page + nr * size);
}

static void step_unmap(void)
{
	uint64_t first = leaf_start(seed_below(NR_PAGES)), end = leaf_end(first);

	if (seed_below(4) == 0) {
		end = first + seed_below(5000);
		end = leaf_end(MIN(end, NR_PAGES - 1));
	}
	ptable_unmap(&t.pt, t.base + first * PAGE_SIZE, (end - first) * PAGE_SIZE);
	memset(&t.page[first], 0, (end - first) * sizeof(t.page[0]));
	check_around(first, end);
}

static void step_split(void)
{
	uint64_t page = seed_below(NR_PAGES), first = leaf_start(page), end = leaf_end(page);
	unsigned int to = (unsigned int)seed_below(2);
	struct model_page m = t.page[page];
	bool fail = seed_below(16) == 0, needed = m.pfn && m.level > to;

	buddy_fail_after(fail);
	assert_int_equal(ptable_split(&t.pt, t.base + page * PAGE_SIZE, to),
			 fail && needed ? -ENOMEM : 0);
	buddy_fail_after(0);
	if (needed && !fail) {
		note_tables(page, to);
		for (uint64_t i = first; i < end; i++)
			t.page[i].level = m.level == 2 ? 1 : to;
		for (uint64_t i = ALIGN_DOWN(page, 512); to == 0 && i < ALIGN_DOWN(page, 512) + 512;
		     i++)
			t.page[i].level = 0;
	}
	check_around(first, end);
	check_page(page);
}

static void step(void)
{
	uint64_t page = seed_below(NR_PAGES - 2000);

	switch (seed_below(8)) {
	case 0:
		prepare(page, 1 + seed_below(1500), (unsigned int)seed_below(3));
		break;
	case 1:
		step_split();
		break;
	case 2:
	case 3:
		step_unmap();
		break;
	default:
		step_map();
	}
}

/* 120000 steps: each walk agrees with the model, and so does the number of tables. */
static void test_random_walk(void **state)
{
	uint64_t used = memory_used();

	(void)state;
	for (unsigned int round = 0; round < 2 * ROUNDS; round++) {
		const struct table_kind *kind = &table_kinds[round % 2];

		memset(&t, 0, sizeof(t));
		t.base = kind->base + PML4_SLOT_SIZE - NR_PAGES / 2 * PAGE_SIZE;
		assert_int_equal(ptable_init(&t.pt, kind->format, kind->class, kind_owner(kind)),
				 0);
		for (unsigned int i = 0; i < ROUND_STEPS; i++)
			step();
		check_everything();
		ptable_destroy(&t.pt);
		assert_int_equal(memory_used(), used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_walk) };

	seed_start(20240517);
	return cmocka_run_group_tests(tests, table_kinds_setup, table_kinds_teardown);
}
