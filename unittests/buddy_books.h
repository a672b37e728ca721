/* SPDX-License-Identifier: MIT */
/*
 * RAM with holes and ragged edges, and the proof that the buddy's books are right.
 * A test of the buddy ends as it began.
 */
#pragma once
#include "lib/compiler.h"
#include "unittests/fake/pageblock.h"
#include "unittests/memory.h"

#define PAGES  (FAKE_RAM_SIZE / PAGE_SIZE)
#define OWNERS 3

static const struct {
	uint64_t start, end;
} ranges[] = {
	{ 0x1000, 0x9f000 },	    /* below 1 MiB */
	{ 0x100000, 0xffe3000 },    /* ends inside a block */
	{ 0x40000000, 0x80000000 }, /* a run of the highest order */
	{ 0x90001000, 0x92600000 }, /* its last block has a hole for a twin */
};

static struct mem_owner owners[OWNERS];

static inline int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		buddy_add(HPA(ranges[i].start), HPA(ranges[i].end));
	for (uint16_t i = 0; i < OWNERS; i++)
		mem_owner_init(&owners[i], (uint16_t)(i + 1));
	return 0;
}

static inline struct mem_owner *owner_for(enum mem_class class)
{
	return class == LOCAL ? &owners[0] : NULL;
}

static inline struct buddy_stats stats(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s;
}

/* What a walk over the metadata finds, to be compared with what the buddy says of itself. */
struct census {
	uint64_t cached[MEM_CLASS_NR], deferred;
	uint64_t total, free[MEM_CLASS_NR], block[MEM_CLASS_NR], owner_free[OWNERS],
		owner_cached[OWNERS];
	int largest_free[MEM_CLASS_NR]; /* order, -1 if none; LOCAL: of owners[0] */
};

static inline bool same_pool(pfn_t a, pfn_t b)
{
	return pfn_to_pageblock(a)->class == pfn_to_pageblock(b)->class &&
	       pfn_to_pageblock(a)->owner == pfn_to_pageblock(b)->owner;
}

static inline void census_free_run(struct census *c, pfn_t pfn, unsigned int order)
{
	const struct pageblock *block = pfn_to_pageblock(pfn);
	pfn_t twin = pfn ^ 1UL << order;

	c->free[block->class] += 1UL << order;
	for (unsigned int i = 0; i < OWNERS; i++)
		if (block->owner == &owners[i])
			c->owner_free[i] += 1UL << order;
	if (block->class != LOCAL || block->owner == &owners[0])
		c->largest_free[block->class] = MAX(c->largest_free[block->class], (int)order);
	/* What can be merged is merged. */
	if (order < PAGE_ORDER_MAX && same_pool(pfn, twin))
		assert_false(pfn_to_page(twin)->state == PAGE_FREE &&
			     pfn_to_page(twin)->order == order);
}

static inline void census_cached(struct census *c, const struct pageblock *block)
{
	c->free[block->class]++;
	c->cached[block->class]++;
	for (unsigned int i = 0; i < OWNERS; i++)
		c->owner_cached[i] += block->owner == &owners[i];
}

/* Every page is part of one whole, aligned run inside one class; the sums agree. */
static inline struct census check_books(void)
{
	struct census c = { .largest_free = { -1, -1, -1 } };
	struct buddy_stats s = stats();

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		pfn_t pfn = ranges[i].start / PAGE_SIZE, end = ranges[i].end / PAGE_SIZE;

		c.total += end - pfn;
		while (pfn < end) {
			const struct page *run = pfn_to_page(pfn);
			uint64_t nr = 1UL << run->order;

			assert_true(run->state == PAGE_FREE || run->state == PAGE_USED ||
				    run->state == PAGE_CACHED || run->state == PAGE_DEFERRED);
			assert_true(run->state != PAGE_CACHED || run->order == 0);
			assert_true(run->order <= PAGE_ORDER_MAX);
			assert_true(IS_ALIGNED(pfn, nr) && pfn + nr <= end);
			for (pfn_t p = pfn + 1; p < pfn + nr; p++)
				assert_int_equal(pfn_to_page(p)->state, PAGE_TAIL);
			for (pfn_t p = pfn; p < pfn + nr; p += 1UL << PAGEBLOCK_ORDER)
				assert_true(same_pool(p, pfn) && fake_pageblock_is_right(p));
			c.block[pfn_to_pageblock(pfn)->class] += nr;
			if (run->state == PAGE_FREE)
				census_free_run(&c, pfn, run->order);
			if (run->state == PAGE_CACHED)
				census_cached(&c, pfn_to_pageblock(pfn));
			if (run->state == PAGE_DEFERRED)
				c.deferred += nr;
			pfn += nr;
		}
	}
	assert_int_equal(s.total_pages, c.total);
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		assert_int_equal(s.free_pages[class], c.free[class]);
		assert_int_equal(s.block_pages[class], c.block[class]);
		assert_int_equal(s.cached_pages[class], c.cached[class]);
	}
	assert_int_equal(c.deferred, s.deferred_pages);
	for (unsigned int i = 0; i < OWNERS; i++) {
		struct mem_stats o;

		mem_get_stats(LOCAL, &owners[i], &o);
		assert_int_equal(owners[i].pool.nr_free, c.owner_free[i]);
		assert_int_equal(o.cached, c.owner_cached[i]);
		assert_int_equal(o.free, c.owner_free[i] + c.owner_cached[i]);
	}
	return c;
}

/* Everything is free, and all of it can be SENSITIVE again. */
static inline int check_all_returned(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < OWNERS; i++)
		mem_owner_destroy(&owners[i]);
	check_books();
	page_reclaim();
	check_books();
	if (memory_used() || stats().free_pages[SENSITIVE] != stats().total_pages)
		return -1;
	return 0;
}
