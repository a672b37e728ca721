/* SPDX-License-Identifier: MIT */
/*
 * A few single pages for each CPU, in front of the pools: alloc and free of one page then take no lock and
 * no atomic instruction. Interrupts off is the only protection, so a bin is touched by its own CPU alone;
 * others may read its count, and when memory is short ask for its pages: they set the limit to 0, so the
 * next page that is freed there, or not found there, takes the slow way, which gives back all. A CPU that
 * does neither keeps what it has, 256 KiB a bin at most.
 *
 * SENSITIVE and GLOBAL have a bin each. Owners share the others, each owner always the same one, which is one
 * owner's at a time: another goes to his pool, until the bin is empty, or he has missed it so often that it is
 * worth emptying. Two that take turns so cost a few times what a page of the pool does, at worst.
 *
 * An owner's end must get every page back at once, and a CPU that runs a guest answers when it likes. Nobody
 * need ask it. Only who allocates or frees for an owner touches his bin without the lock, and by then that is
 * over; who makes it another's holds the lock. So mem_owner_destroy() empties his bins on all CPUs itself.
 *
 * A cached page is PAGE_CACHED: free to whoever frees it again, but not to be merged with.
 */
#pragma once
#include <stddef.h>
#include "arch/insn.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "mm/page.h"

#define PAGECACHE_MAX	    64
#define PAGECACHE_BATCH	    32 /* moved from and to the pool at a time */
#define PAGECACHE_PATIENCE  32 /* misses until a bin is another owner's */
#define PAGECACHE_OWNER_LOG 2  /* bins for owners: a power of two */
#define PAGECACHE_BINS	    (LOCAL + (1 << PAGECACHE_OWNER_LOG))

struct pagecache_bin {
	struct mem_owner *owner; /* NULL: a class's, or nobody's yet; changes under the lock */
	uint32_t nr;		 /* pages */
	uint32_t missed;	 /* by others since its owner last missed; under the lock */
};

struct pagecache {
	struct pagecache_bin bin[PAGECACHE_BINS];
	uint32_t limit; /* PAGECACHE_MAX; 0: never used, off, or another CPU wants the pages */
	bool off;	/* while tests count allocations, and for good when the CPU ends */
	bool listed;	/* in buddy.caches */
	struct pagecache *next;				  /* there */
	struct page *page[PAGECACHE_BINS][PAGECACHE_MAX]; /* the last one is the warmest */
};

extern __percpu struct pagecache pagecache;

/*
 * The bin of a class and owner, without a branch: where classes mix, nobody could foresee it. NULL adds 0, and
 * a multiplication spreads owners at whatever distance they lie. A bin that is @owner's by its number and
 * by its owner is @class's too: with an owner, another class would be another bin than LOCAL is; and LOCAL
 * without one finds a bin of no pages at best.
 */
static inline unsigned int pagecache_bin(enum mem_class class, const struct mem_owner *owner)
{
	return class +
	       (unsigned int)((uintptr_t)owner * 0x9e3779b97f4a7c15 >> (64 - PAGECACHE_OWNER_LOG));
}

/* By any CPU. */
static inline bool pagecache_bin_is(const struct pagecache_bin *bin, const struct mem_owner *owner)
{
	return __atomic_load_n(&bin->owner, __ATOMIC_RELAXED) == owner;
}

/* A page of @class (LOCAL at most) from this CPU's cache, now PAGE_USED, or NULL. */
static inline struct page *pagecache_take(enum mem_class class, const struct mem_owner *owner)
{
	unsigned int n = pagecache_bin(class, owner);
	uint64_t flags = irq_save();
	struct pagecache *c = this_cpu_ptr(pagecache);
	struct pagecache_bin *bin = &c->bin[n];
	struct page *page = NULL;

	if (likely(pagecache_bin_is(bin, owner) && bin->nr)) {
		uint32_t nr = bin->nr - 1;

		page = c->page[n][nr];
		/* Another state: freed on two CPUs at once, too close for either to notice. */
		ASSERT(page->state == PAGE_CACHED);
		page_set_state(page, PAGE_USED);
		__atomic_store_n(&bin->nr, nr, __ATOMIC_RELAXED);
	}
	irq_restore(flags);
	return page;
}

/* Puts @page of @block, in use and of order 0, into this CPU's cache; false if there is no room. */
static inline bool pagecache_put(struct page *page, const struct pageblock *block)
{
	unsigned int n = block->bin;
	uint64_t flags = irq_save();
	struct pagecache *c = this_cpu_ptr(pagecache);
	struct pagecache_bin *bin = &c->bin[n];
	bool fits = pagecache_bin_is(bin, block->owner) &&
		    bin->nr < __atomic_load_n(&c->limit, __ATOMIC_RELAXED);

	if (likely(fits)) {
		uint32_t nr = bin->nr;

		c->page[n][nr] = page;
		page_set_state(page, PAGE_CACHED);
		__atomic_store_n(&bin->nr, nr + 1, __ATOMIC_RELAXED);
	}
	irq_restore(flags);
	return fits;
}

/*
 * A batch from the pool into this CPU's empty bin, as far as the pool has free runs; none, and false, if it is
 * another owner's or asked for pages.
 */
bool pagecache_refill(enum mem_class class, struct mem_owner *owner);
/* A batch of the coldest pages of a full bin back to the pool, all if asked for them; false if it has no room even so. */
bool pagecache_spill(const struct pageblock *block);
/* All of this CPU's cached pages back to the pools, false if there were none; asks for those of the others. */
bool pagecache_drain(void);
/* The same, of one owner. */
void pagecache_drain_owner(struct mem_owner *owner);
/* Gives back @owner's on all CPUs: none of them allocates or frees for him any more. With the buddy's lock held. */
void pagecache_end_owner(struct mem_owner *owner);
/* Drains, and from now on (or no more) caches nothing on this CPU. */
void pagecache_enable(bool on);
/* Drains for good: the CPU (in tests: the thread) ends. */
void pagecache_retire(void);
/* Pages in the caches of all CPUs; of all owners if LOCAL without one. With the buddy's lock held. */
uint64_t pagecache_count(enum mem_class class, const struct mem_owner *owner);
