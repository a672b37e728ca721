/* SPDX-License-Identifier: MIT */
/* mm/buddy.c: random walks, each against a model that knows nothing of runs and lists. */
#include "unittests/buddy_books.h"
#include "unittests/seed.h"

#define LIVE_MAX 400

struct live {
	uint64_t *hva;
	unsigned int order, class, owner;
	uint64_t tag;
};

static struct live live[LIVE_MAX];
static unsigned int nr_live;
static uint8_t page_taken[PAGES];
static struct {
	unsigned int class, owner;
	uint64_t nr_pages;
} block_model[PAGES >> PAGEBLOCK_ORDER];

/* The words that a run is marked with: first and last of the run, and one in between. */
static void mark_words(const struct live *l, uint64_t *word[3])
{
	uint64_t nr = PAGE_SIZE / 8 << l->order;

	word[0] = l->hva;
	word[1] = l->hva + nr - 1;
	word[2] = l->hva + (l->tag * 512 + 5) % nr;
}

static void model_take(const struct live *l)
{
	pfn_t pfn = hva_to_hpa(l->hva).v / PAGE_SIZE;

	for (pfn_t p = pfn; p < pfn + (1UL << l->order); p++) {
		assert_int_equal(page_taken[p], 0);
		page_taken[p] = 1;
		if (block_model[p >> 9].nr_pages++) {
			assert_int_equal(block_model[p >> 9].class, l->class);
			assert_int_equal(block_model[p >> 9].owner, l->owner);
		}
		block_model[p >> 9].class = l->class;
		block_model[p >> 9].owner = l->owner;
	}
}

static void model_free(const struct live *l)
{
	pfn_t pfn = hva_to_hpa(l->hva).v / PAGE_SIZE;

	for (pfn_t p = pfn; p < pfn + (1UL << l->order); p++) {
		page_taken[p] = 0;
		block_model[p >> 9].nr_pages--;
	}
}

static void walk_alloc(uint64_t step)
{
	struct live *l = &live[nr_live];
	struct mem_owner *owner;
	uint64_t *word[3];

	l->order = (unsigned int)seed_below(seed_below(50) ? 7 : PAGE_ORDER_MAX + 1);
	l->class = (unsigned int)seed_below(MEM_CLASS_NR);
	l->owner = l->class == LOCAL ? (unsigned int)seed_below(OWNERS) : 0;
	l->tag = step << 8 | l->class << 4 | l->owner;
	owner = l->class == LOCAL ? &owners[l->owner] : NULL;
	l->hva = page_alloc(l->order, l->class, owner);
	if (!l->hva) {
		struct census c = check_books();

		assert_true(c.largest_free[SENSITIVE] < (int)MAX(l->order, PAGEBLOCK_ORDER) ||
			    (l->class == SENSITIVE && c.largest_free[SENSITIVE] < (int)l->order));
		if (l->class != LOCAL || l->owner == 0)
			assert_true(c.largest_free[l->class] < (int)l->order);
		return;
	}
	assert_int_equal(hva_is_local(l->hva), l->class == LOCAL);
	model_take(l);
	mark_words(l, word);
	for (unsigned int i = 0; i < 3; i++) {
		/* What is left from before is the same class's and owner's. */
		assert_true(*word[i] == 0 || (*word[i] & 0xff) == (l->tag & 0xff));
		*word[i] = l->tag;
	}
	nr_live++;
}

static void walk_free(unsigned int i)
{
	struct live *l = &live[i];
	uint64_t *word[3];

	mark_words(l, word);
	for (unsigned int w = 0; w < 3; w++)
		assert_int_equal(*word[w], l->tag);
	model_free(l);
	page_free(l->hva, l->order);
	*l = live[--nr_live];
}

/*
 * A random walk against a map of single pages: no two runs overlap, no block mixes
 * classes or owners, no content crosses between them, and the books stay in order.
 */
static void test_random_walk(void **state)
{
	(void)state;
	seed_start(0x6275646479);
	for (uint64_t step = 0; step < 20000; step++) {
		/* The target drifts, so that the walk fills up and empties out. */
		unsigned int target = (unsigned int)(step / 1000 * 157 % LIVE_MAX);

		if (nr_live < LIVE_MAX &&
		    (!nr_live || seed_below(LIVE_MAX) + nr_live < LIVE_MAX / 2 + target))
			walk_alloc(step);
		else
			walk_free((unsigned int)seed_below(nr_live));
		if (step % 200 == 0)
			check_books();
	}
	while (nr_live)
		walk_free(nr_live - 1);
}

/* The books are kept without touching a byte of RAM: conversion alone clears it. */
static void test_contents_untouched(void **state)
{
	void *hva[64] = { 0 };
	unsigned int order[64];

	(void)state;
	seed_start(0x746f756368);
	fake_ram_forbid(true);
	for (unsigned int step = 0; step < 5000; step++) {
		unsigned int i = (unsigned int)seed_below(64), class = i % MEM_CLASS_NR;

		if (hva[i]) {
			page_free(hva[i], order[i]);
			hva[i] = NULL;
		} else {
			order[i] = (unsigned int)seed_below(11);
			hva[i] = page_alloc(order[i], class, owner_for(class));
		}
	}
	for (unsigned int i = 0; i < 64; i++)
		if (hva[i])
			page_free(hva[i], order[i]);
	fake_ram_forbid(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
		cmocka_unit_test_teardown(test_contents_untouched, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
