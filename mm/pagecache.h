/* SPDX-License-Identifier: MIT */
/*
 * A few single pages for each CPU, in front of the SENSITIVE and the GLOBAL pool: alloc and free of
 * one page then take no lock and no atomic instruction. Interrupts off is the only protection, so a
 * cache is touched by its own CPU alone; others may read its counts, and when memory is short ask for
 * its pages: they set the limit to 0, so the next page that is freed there, or not found there, takes
 * the slow way, which gives back all. A CPU that does neither keeps what it has, 512 KiB at most.
 *
 * LOCAL has none. An owner's end must get every page back at once, and a cache that only its CPU touches
 * can merely be asked: a CPU that runs a guest answers when it likes. What allocates LOCAL memory often, the
 * slab caches, has per-CPU stocks of its own. A single page takes the buddy's lock, a split and a merge, which
 * is what `make bench-mm` shows between a mix of SENSITIVE and GLOBAL pages and one with LOCAL.
 *
 * A cached page is PAGE_CACHED: free to whoever frees it again, but not to be merged with.
 */
#pragma once
#include <stddef.h>
#include "arch/insn.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "mm/page.h"

#define PAGECACHE_MAX	64
#define PAGECACHE_BATCH 32 /* moved from and to the pool at a time */

struct pagecache {
	uint32_t nr[LOCAL]; /* by class: SENSITIVE and GLOBAL */
	uint32_t limit;	    /* PAGECACHE_MAX; 0: never used, off, or another CPU wants the pages */
	bool off;	    /* while tests count allocations, and for good when the CPU ends */
	bool listed;	    /* in buddy.caches */
	struct pagecache *next;			 /* there */
	struct page *page[LOCAL][PAGECACHE_MAX]; /* the last one is the warmest */
};

extern __percpu struct pagecache pagecache;

/* A page from this CPU's cache, now PAGE_USED, or NULL. */
static inline struct page *pagecache_take(enum mem_class class)
{
	uint64_t flags = irq_save();
	struct pagecache *c = this_cpu_ptr(pagecache);
	struct page *page = NULL;
	uint32_t nr = c->nr[class];

	if (likely(nr)) {
		page = c->page[class][nr - 1];
		/* Another state: freed on two CPUs at once, too close for either to notice. */
		ASSERT(page->state == PAGE_CACHED);
		page_set_state(page, PAGE_USED);
		__atomic_store_n(&c->nr[class], nr - 1, __ATOMIC_RELAXED);
	}
	irq_restore(flags);
	return page;
}

/* Puts @page, in use and of order 0, into this CPU's cache; false if that is full. */
static inline bool pagecache_put(struct page *page, enum mem_class class)
{
	uint64_t flags = irq_save();
	struct pagecache *c = this_cpu_ptr(pagecache);
	uint32_t nr = c->nr[class];
	bool fits = nr < __atomic_load_n(&c->limit, __ATOMIC_RELAXED);

	if (likely(fits)) {
		page_set_state(page, PAGE_CACHED);
		c->page[class][nr] = page;
		__atomic_store_n(&c->nr[class], nr + 1, __ATOMIC_RELAXED);
	}
	irq_restore(flags);
	return fits;
}

/* A batch from the pool into this CPU's empty cache, as far as the pool has free runs; none if asked for pages. */
void pagecache_refill(enum mem_class class);
/* A batch of the coldest pages back to the pool; all if asked for them. */
void pagecache_spill(enum mem_class class);
/* All of this CPU's cached pages back to the pools, false if there were none; asks for those of the others. */
bool pagecache_drain(void);
/* Drains, and from now on (or no more) caches nothing on this CPU. */
void pagecache_enable(bool on);
/* Drains for good: the CPU (in tests: the thread) ends. */
void pagecache_retire(void);
/* Pages in the caches of all CPUs. With the buddy's lock held. */
uint64_t pagecache_count(enum mem_class class);
