/* SPDX-License-Identifier: MIT */
/*
 * page_alloc and page_free: first the CPU's cache, then the pool, then a block from SENSITIVE; and when
 * memory has run out, whatever can be had back, what costs least first.
 */
#include <stddef.h>
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/baduse.h"
#include "mm/pagecache.h"
#include "mm/quarantine.h"

static struct page *take_or_convert(unsigned int order, enum mem_class class,
				    struct mem_owner *owner)
{
	unsigned int block_order = MAX(order, PAGEBLOCK_ORDER);
	struct mem_pool *pool = pool_of(class, owner);
	uint64_t flags = spin_lock(&buddy.lock);
	struct page *run = pool_take(pool, order), *blocks = NULL;

	if (!run && class != SENSITIVE)
		blocks = pool_take(&buddy.pools[SENSITIVE], block_order);
	if (blocks)
		__atomic_fetch_add(&buddy.pools[SENSITIVE].nr_moving, 1UL << block_order,
				   __ATOMIC_RELAXED);
	else if (run)
		pool_note_peak(pool);
	spin_unlock(&buddy.lock, flags);
	if (!blocks)
		return run;

	pageblock_convert(blocks, class, owner);
	flags = spin_lock(&buddy.lock);
	pool_split(pool, blocks, block_order, order);
	pool_note_peak(pool);
	spin_unlock(&buddy.lock, flags);
	return blocks;
}

/* Steps of one call; true if the step gave something back, and is worth another try. */
enum effort { DRAIN_CACHE, DRAIN_QUARANTINE, FLUSH_QUARANTINE, RECLAIM_BLOCKS, EFFORTS };

static bool get_back(enum effort effort)
{
	switch (effort) {
	case DRAIN_CACHE:
		return pagecache_drain();
	case DRAIN_QUARANTINE:
		return quarantine_drain();
	case FLUSH_QUARANTINE:
		return tlb_can_wait() && quarantine_flush();
	default:
		return tlb_can_wait() && pageblock_reclaim();
	}
}

/* Counts down to the failure that a test has asked for. */
static bool must_fail(void)
{
	if (likely(!buddy.fail_after) || --buddy.fail_after)
		return false;
	pagecache_enable(true);
	return true;
}

static struct page *get_pages(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	enum effort effort = DRAIN_CACHE;
	struct page *run = NULL;
	uint64_t flags;

	if (!must_fail())
		run = take_or_convert(order, class, owner);
	else
		effort = EFFORTS;
	while (!run && effort < EFFORTS) {
		if (!get_back(effort))
			effort++;
		else
			run = take_or_convert(order, class, owner);
	}
	if (!run) {
		flags = spin_lock(&buddy.lock);
		buddy.stats.failures++;
		spin_unlock(&buddy.lock, flags);
	}
	return run;
}

static const char *why_not_alloc(unsigned int order, enum mem_class class,
				 const struct mem_owner *owner)
{
	if (order > PAGE_ORDER_MAX)
		return "order too large";
	if (class >= MEM_CLASS_NR)
		return "no such class";
	return owner ? "an owner, but not LOCAL" : "LOCAL, but no owner";
}

/* Out of the way of the fast path, which it leaves without registers to save. */
static __noinline void *page_alloc_slow(unsigned int order, enum mem_class class,
					struct mem_owner *owner, unsigned long caller)
{
	void *hva = NULL;
	struct page *run;

	if (order > PAGE_ORDER_MAX || class >= MEM_CLASS_NR || (class == LOCAL) != (owner != NULL))
		panic_caller(caller, "page_alloc(order %u, class %u, owner %p): %s", order, class,
			     (void *)owner, why_not_alloc(order, class, owner));
	if (order == 0 && pagecache_refill(class, owner))
		hva = pagecache_take(class, owner);
	if (hva)
		return hva;
	run = get_pages(order, class, owner);
	return run ? page_hva(run) : NULL;
}

void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	if (likely(order == 0) && likely(class < MEM_CLASS_NR)) {
		void *hva = pagecache_take(class, owner);

		if (likely(hva))
			return hva;
	}
	return page_alloc_slow(order, class, owner, CALLER);
}

void *page_zalloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	void *hva = page_alloc(order, class, owner);

	if (hva)
		clear_words(hva, PAGE_SIZE << order);
	return hva;
}

static void give_pages(struct page *run, unsigned int order)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct mem_pool *pool = page_pool(run);
	bool surplus;

	/* Seen again under the lock: another CPU may have freed it, wrongly, meanwhile. */
	ASSERT(run->state == PAGE_USED);
	pool_give(pool, run, order);
	surplus = pool_has_surplus(pool);
	spin_unlock(&buddy.lock, flags);

	if (surplus)
		pool_trim_surplus(pool);
}

/* @run: what page_if_used() has found. */
static __noinline void page_free_slow(struct page *run, void *hva, unsigned int order,
				      unsigned long caller)
{
	const struct pageblock *block;

	if (!run)
		panic_caller(caller, "page_free(%p, order %u): %s", hva, order,
			     page_why_not_free(hva, order));
	block = pfn_to_pageblock(page_to_pfn(run));
	if (order == 0 && pagecache_spill(block)) {
		pool_trim_surplus(page_pool(run));
		if (pagecache_put(run, block))
			return;
	}
	give_pages(run, order);
}

void page_free(void *hva, unsigned int order)
{
	struct page *page;

	if (order == 0 && pagecache_put_last(hva))
		return;
	page = page_if_used(hva, order);
	if (likely(page && order == 0)) {
		const struct pageblock *block = pfn_to_pageblock(page_to_pfn(page));

		if (likely(pagecache_put(page, block)))
			return;
	}
	page_free_slow(page, hva, order, CALLER);
}

void page_split(void *hva, unsigned int order, unsigned int to)
{
	struct page *run = page_if_used(hva, order);
	uint64_t flags;

	if (!run)
		panic_caller(CALLER, "page_split(%p, order %u): %s", hva, order,
			     page_why_not_free(hva, order));
	ASSERT(to <= order);
	flags = spin_lock(&buddy.lock);
	for (uint64_t i = 0; i < 1UL << order; i += 1UL << to) {
		run[i].order = (uint8_t)to;
		page_set_state(&run[i], PAGE_USED);
	}
	spin_unlock(&buddy.lock, flags);
}

void page_reclaim(void)
{
	for (enum effort effort = DRAIN_CACHE; effort < EFFORTS;)
		if (!get_back(effort))
			effort++;
}

const char *page_why_not_free(const void *hva, unsigned int order)
{
	static const char *const states[] = {
		[PAGE_FREE] = "free already",
		[PAGE_TAIL] = "inside a run",
		[PAGE_SLAB] = "a slab cache's",
		[PAGE_CACHED] = "free already, in a cache",
		[PAGE_DEFERRED] = "free already, deferred",
	};
	struct page *page;

	if (!hva_is_ram(hva))
		return "no address of RAM";
	if (!buddy_manages(hva_to_hpa(hva)))
		return "no RAM of the allocator's there";
	if ((uint64_t)hva % PAGE_SIZE)
		return "not the start of a page";
	page = pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
	if (page_head(page)->state == PAGE_TAIL)
		return "not the allocator's";
	if (page->state != PAGE_USED)
		return page->state < ARRAY_SIZE(states) ? states[page->state] : "corrupt metadata";
	return page->order != order ? "of another order" : "the alias of another class";
}
