/* SPDX-License-Identifier: MIT */
/*
 * The pools: free runs by order, split and merged. All books are kept in struct page and struct
 * pageblock: nothing here looks into a free page, which the current address space need not map.
 *
 * A page of the buddy's is the head of a run or inside one (PAGE_TAIL). A run on its way between two
 * pools counts as used, so that nobody merges with it while the lock is released.
 */
#include <stddef.h>
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/pagecache.h"
#include "mm/pool.h"

__nonsensitive struct buddy buddy = { .lock = SPINLOCK(LOCK_BUDDY) };

static void pool_link(struct mem_pool *pool, struct page *run, unsigned int order)
{
	run->state = PAGE_FREE;
	run->order = (uint8_t)order;
	run->prev = 0;
	run->next = pool->free[order];
	if (run->next)
		link_to_page(run->next)->prev = page_to_link(run);
	pool->free[order] = page_to_link(run);

	pool->nr_free += 1UL << order;
	pool->nr_free_blocks += (1UL << order) >> PAGEBLOCK_ORDER;
	buddy.stats.free_pages[pfn_to_pageblock(page_to_pfn(run))->class] += 1UL << order;
}

/* Leaves @run a tail, as the caller makes it the inside of a larger run, or else its head. */
static void pool_unlink(struct mem_pool *pool, struct page *run)
{
	unsigned int order = run->order;

	if (run->prev)
		link_to_page(run->prev)->next = run->next;
	else
		pool->free[order] = run->next;
	if (run->next)
		link_to_page(run->next)->prev = run->prev;
	run->state = PAGE_TAIL;
	run->next = run->prev = 0;

	pool->nr_free -= 1UL << order;
	pool->nr_free_blocks -= (1UL << order) >> PAGEBLOCK_ORDER;
	buddy.stats.free_pages[pfn_to_pageblock(page_to_pfn(run))->class] -= 1UL << order;
}

/* Of the runs that may begin at @pfn and have up to @nr pages. */
static unsigned int largest_order(pfn_t pfn, uint64_t nr)
{
	unsigned int order = MIN(bit_highest(nr), pfn ? bit_lowest(pfn) : PAGE_ORDER_MAX);

	return MIN(order, PAGE_ORDER_MAX);
}

void pool_split(struct mem_pool *pool, struct page *run, unsigned int from, unsigned int to)
{
	while (from > to) {
		from--;
		pool_link(pool, run + (1UL << from), from);
	}
	run->state = PAGE_USED;
	run->order = (uint8_t)to;
}

struct page *pool_take(struct mem_pool *pool, unsigned int order)
{
	struct page *run;

	for (unsigned int o = order; o <= PAGE_ORDER_MAX; o++) {
		if (!pool->free[o])
			continue;
		run = link_to_page(pool->free[o]);
		pool_unlink(pool, run);
		pool_split(pool, run, o, order);
		return run;
	}
	return NULL;
}

struct page *pool_take_some(struct mem_pool *pool, uint32_t max)
{
	unsigned int order = 0;

	while (order < PAGE_ORDER_MAX && !pool->free[order])
		order++;
	return pool_take(pool, MIN(order, bit_highest(max)));
}

void pool_note_peak(struct mem_pool *pool)
{
	uint64_t moving = __atomic_load_n(&pool->nr_moving, __ATOMIC_RELAXED);

	pool->peak = MAX(pool->peak, pool->nr_pages - pool->nr_free - moving);
}

/* Whether the run at @twin is free as a whole, in the same pool as @run. */
static bool twin_is_free(const struct page *run, pfn_t twin, unsigned int order)
{
	const struct pageblock *block = pfn_to_pageblock(page_to_pfn(run));
	const struct pageblock *twin_block = pfn_to_pageblock(twin);

	return twin_block->class == block->class && twin_block->owner == block->owner &&
	       __atomic_load_n(&pfn_to_page(twin)->state, __ATOMIC_RELAXED) == PAGE_FREE &&
	       pfn_to_page(twin)->order == order;
}

/* Merges with every free twin on the way. */
void pool_give(struct mem_pool *pool, struct page *run, unsigned int order)
{
	pfn_t pfn = page_to_pfn(run);

	for (; order < PAGE_ORDER_MAX; order++) {
		pfn_t twin = pfn ^ (1UL << order);

		if (!twin_is_free(pfn_to_page(pfn), twin, order))
			break;
		pool_unlink(pool, pfn_to_page(twin));
		pfn_to_page(pfn)->state = PAGE_TAIL;
		pfn &= twin;
	}
	pool_link(pool, pfn_to_page(pfn), order);
}

void pool_give_some(struct mem_pool *pool, struct page *page, uint32_t nr)
{
	while (nr) {
		unsigned int order = largest_order(page_to_pfn(page), nr);

		for (uint32_t i = 1; i < 1U << order; i++)
			page_set_state(&page[i], PAGE_TAIL);
		pool_give(pool, page, order);
		page += 1U << order;
		nr -= 1U << order;
	}
}

/* Nobody has the run yet. Whole blocks are counted, not looked into: a TiB takes milliseconds. */
static void claim(pfn_t pfn, uint64_t nr_pages)
{
	uint64_t nr_each = MIN(nr_pages, PAGEBLOCK_PAGES);

	for (pfn_t p = pfn; nr_pages < PAGEBLOCK_PAGES && p < pfn + nr_pages; p++)
		ASSERT(page_head(pfn_to_page(p))->state == PAGE_TAIL);
	for (pfn_t p = pfn; p < pfn + nr_pages; p += nr_each) {
		struct pageblock *block = pfn_to_pageblock(p);

		ASSERT(block->class == SENSITIVE && block->nr_managed + nr_each <= PAGEBLOCK_PAGES);
		block->nr_managed = (uint16_t)(block->nr_managed + nr_each);
	}
}

/* One naturally aligned run, for buddy_add. */
static void buddy_add_run(pfn_t pfn, unsigned int order)
{
	struct mem_pool *pool = &buddy.pools[SENSITIVE];
	uint64_t nr_pages = 1UL << order;

	claim(pfn, nr_pages);
	buddy.managed[pfn_to_hpa(pfn).v / PAGE_SIZE_1G / 64] |=
		BIT(pfn_to_hpa(pfn).v / PAGE_SIZE_1G % 64);
	pool->nr_pages += nr_pages;
	buddy.stats.block_pages[SENSITIVE] += nr_pages;
	buddy.stats.total_pages += nr_pages;
	pool_give(pool, pfn_to_page(pfn), order);
}

void buddy_add(hpa_t start, hpa_t end)
{
	pfn_t pfn = hpa_to_pfn(start), end_pfn = hpa_to_pfn(end);
	uint64_t flags;

	ASSERT(IS_ALIGNED(start.v | end.v, PAGE_SIZE) && start.v <= end.v && end.v <= PHYS_LIMIT);
	while (pfn < end_pfn) {
		unsigned int order = largest_order(pfn, end_pfn - pfn);

		flags = spin_lock(&buddy.lock);
		buddy_add_run(pfn, order);
		spin_unlock(&buddy.lock, flags);
		pfn += 1UL << order;
	}
}

void buddy_get_stats(struct buddy_stats *out)
{
	uint64_t flags = spin_lock(&buddy.lock);

	*out = buddy.stats;
	for (enum mem_class c = SENSITIVE; c < MEM_CLASS_NR; c++) {
		out->cached_pages[c] = pagecache_count(c, NULL);
		out->free_pages[c] += out->cached_pages[c];
	}
	spin_unlock(&buddy.lock, flags);
}

void mem_get_stats(enum mem_class class, struct mem_owner *owner, struct mem_stats *out)
{
	const struct mem_pool *pool = pool_of(class, owner);
	uint64_t flags = spin_lock(&buddy.lock);

	*out = (struct mem_stats){
		.pages = pool->nr_pages,
		.blocks = pool->nr_pages >> PAGEBLOCK_ORDER,
		.cached = pagecache_count(class, owner),
		.deferred = pool->nr_deferred,
		.converted_in = pool->converted_in,
		.converted_out = pool->converted_out,
		.peak = pool->peak,
	};
	out->free = pool->nr_free + out->cached;
	spin_unlock(&buddy.lock, flags);
}

void buddy_fail_after(uint64_t n)
{
	pagecache_enable(n == 0);
	buddy.fail_after = n;
}
