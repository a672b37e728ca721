/* SPDX-License-Identifier: MIT */
/*
 * The page allocator, and pageblock_convert(), the one place where memory changes
 * class. All books are kept in struct page and struct pageblock: it never looks
 * into a free page, which the current address space need not map.
 *
 * A page of the buddy's is the head of a run (PAGE_FREE, PAGE_USED or PAGE_SLAB) or
 * inside one (PAGE_TAIL). A run on its way between two pools counts as used, so
 * that nobody merges with it while the lock is released.
 */
#include <stddef.h>
#include "mm/buddy.h"
#include "arch/insn.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/bitops.h"

static __nonsensitive struct {
	struct spinlock lock;	      /* guards all below, all pools, and the pages of free runs */
	struct mem_pool pools[LOCAL]; /* SENSITIVE and GLOBAL; the LOCAL ones are in their owners */
	struct buddy_stats stats;
	uint64_t fail_after; /* this many more allocations until one fails; 0: none will */
} buddy;

static struct mem_pool *pool_of(enum mem_class class, struct mem_owner *owner)
{
	return class == LOCAL ? &owner->pool : &buddy.pools[class];
}

/* The pool that the block of @page belongs to. */
static struct mem_pool *page_pool(const struct page *page)
{
	const struct pageblock *block = pfn_to_pageblock(page_to_pfn(page));

	return pool_of(block->class, block->owner);
}

/* Free runs are linked by pfn + 1, so that zeroed memory is an empty list. */
static uint32_t page_to_link(const struct page *page)
{
	return (uint32_t)(page_to_pfn(page) + 1);
}

static struct page *link_to_page(uint32_t link)
{
	return pfn_to_page(link - 1UL);
}

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

/* Makes of @run, which no pool holds, a used one of order @to; the rest goes to @pool. */
static void pool_split(struct mem_pool *pool, struct page *run, unsigned int from, unsigned int to)
{
	while (from > to) {
		from--;
		pool_link(pool, run + (1UL << from), from);
	}
	run->state = PAGE_USED;
	run->order = (uint8_t)to;
}

static struct page *pool_take(struct mem_pool *pool, unsigned int order)
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

/* Whether the run at @twin is free as a whole, in the same pool as @run. */
static bool twin_is_free(const struct page *run, pfn_t twin, unsigned int order)
{
	const struct pageblock *block = pfn_to_pageblock(page_to_pfn(run));
	const struct pageblock *twin_block = pfn_to_pageblock(twin);

	return twin_block->class == block->class && twin_block->owner == block->owner &&
	       pfn_to_page(twin)->state == PAGE_FREE && pfn_to_page(twin)->order == order;
}

/* Puts @run, which no pool holds, into @pool, merged with every free twin. */
static void pool_give(struct mem_pool *pool, struct page *run, unsigned int order)
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

/*
 * Changes the class of @run: whole blocks that no pool holds, neither before nor
 * after. The order matters: nobody can reach the blocks while they are scrubbed, and
 * nobody new before they are clean.
 */
static void pageblock_convert(struct page *run, enum mem_class class, struct mem_owner *owner)
{
	hpa_t first = pfn_to_hpa(page_to_pfn(run));
	struct pageblock *block = pfn_to_pageblock(page_to_pfn(run));
	const struct pageblock old = *block;
	uint64_t nr_pages = 1UL << run->order, nr_blocks = nr_pages >> PAGEBLOCK_ORDER, flags;

	if (old.class != SENSITIVE)
		pageblock_hide(first, nr_blocks, old.class, old.owner);
	clear_words(hpa_to_direct(first), nr_blocks * PAGEBLOCK_SIZE);
	for (uint64_t i = 0; i < nr_blocks; i++) {
		block[i].class = (uint8_t) class;
		block[i].owner = owner;
	}
	if (class != SENSITIVE)
		pageblock_expose(first, nr_blocks, class, owner);

	flags = spin_lock(&buddy.lock);
	pool_of(old.class, old.owner)->nr_pages -= nr_pages;
	pool_of(class, owner)->nr_pages += nr_pages;
	buddy.stats.block_pages[old.class] -= nr_pages;
	buddy.stats.block_pages[class] += nr_pages;
	buddy.stats.conversions += nr_blocks;
	spin_unlock(&buddy.lock, flags);
}

/* Takes a run of whole free blocks, as long as it may be if @keep blocks are to stay. */
static struct page *pool_take_surplus(struct mem_pool *pool, uint64_t keep)
{
	unsigned int order = PAGE_ORDER_MAX;

	if (pool->nr_free_blocks <= keep)
		return NULL;
	while (!pool->free[order])
		order--;
	if (pool->nr_free_blocks - ((1UL << order) >> PAGEBLOCK_ORDER) < keep)
		order--;
	return pool_take(pool, order);
}

/* Gives the whole free blocks of a GLOBAL or LOCAL pool, but for @keep, back to SENSITIVE. */
static void pool_trim(struct mem_pool *pool, uint64_t keep)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct page *run;

	while ((run = pool_take_surplus(pool, keep))) {
		spin_unlock(&buddy.lock, flags);
		pageblock_convert(run, SENSITIVE, NULL);
		flags = spin_lock(&buddy.lock);
		pool_give(&buddy.pools[SENSITIVE], run, run->order);
	}
	spin_unlock(&buddy.lock, flags);
}

/* One naturally aligned run, for buddy_add. */
static void buddy_add_run(pfn_t pfn, unsigned int order)
{
	struct mem_pool *pool = &buddy.pools[SENSITIVE];
	uint64_t nr_pages = 1UL << order;

	for (pfn_t p = pfn; p < pfn + nr_pages; p++) {
		ASSERT(pfn_to_page(p)->state == PAGE_RESERVED);
		ASSERT(pfn_to_pageblock(p)->class == SENSITIVE);
		pfn_to_page(p)->state = PAGE_TAIL;
	}
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
		unsigned int order = bit_highest(end_pfn - pfn);

		order = MIN(order, pfn ? bit_lowest(pfn) : PAGE_ORDER_MAX);
		order = MIN(order, PAGE_ORDER_MAX);
		flags = spin_lock(&buddy.lock);
		buddy_add_run(pfn, order);
		spin_unlock(&buddy.lock, flags);
		pfn += 1UL << order;
	}
}

void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	unsigned int block_order = MAX(order, PAGEBLOCK_ORDER);
	struct page *run = NULL, *blocks = NULL;
	struct mem_pool *pool;
	uint64_t flags;

	ASSERT(order <= PAGE_ORDER_MAX && class < MEM_CLASS_NR);
	ASSERT((class == LOCAL) == (owner != NULL));
	pool = pool_of(class, owner);

	flags = spin_lock(&buddy.lock);
	if (!buddy.fail_after || --buddy.fail_after) {
		run = pool_take(pool, order);
		if (!run && class != SENSITIVE)
			blocks = pool_take(&buddy.pools[SENSITIVE], block_order);
	}
	if (!run && !blocks)
		buddy.stats.failures++;
	spin_unlock(&buddy.lock, flags);

	if (blocks) {
		pageblock_convert(blocks, class, owner);
		flags = spin_lock(&buddy.lock);
		pool_split(pool, blocks, block_order, order);
		spin_unlock(&buddy.lock, flags);
		run = blocks;
	}
	return run ? page_hva(run) : NULL;
}

void *page_zalloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	void *hva = page_alloc(order, class, owner);

	if (hva)
		clear_words(hva, PAGE_SIZE << order);
	return hva;
}

void page_free(void *hva, unsigned int order)
{
	struct mem_pool *pool;
	struct page *page;
	uint64_t flags;
	bool surplus;

	ASSERT(hva_is_ram(hva));
	page = pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));

	flags = spin_lock(&buddy.lock);
	ASSERT(page->state == PAGE_USED);
	ASSERT(page->order == order);
	ASSERT(hva == page_hva(page));
	pool = page_pool(page);
	pool_give(pool, page, order);
	surplus = pool != &buddy.pools[SENSITIVE] && pool->nr_free_blocks > 1;
	spin_unlock(&buddy.lock, flags);

	if (surplus)
		pool_trim(pool, 1);
}

void mem_owner_init(struct mem_owner *owner, uint16_t id)
{
	ASSERT(id >= 1 && id <= OWNER_MAX);
	*owner = (struct mem_owner){ .id = id };
}

void mem_owner_destroy(struct mem_owner *owner)
{
	ASSERT(owner->pool.nr_free == owner->pool.nr_pages);
	pool_trim(&owner->pool, 0);
	ASSERT(owner->pool.nr_pages == 0);
}

void buddy_get_stats(struct buddy_stats *out)
{
	uint64_t flags = spin_lock(&buddy.lock);

	*out = buddy.stats;
	spin_unlock(&buddy.lock, flags);
}

void buddy_fail_after(uint64_t n)
{
	buddy.fail_after = n;
}
