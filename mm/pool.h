/* SPDX-License-Identifier: MIT */
/*
 * What the files of the page allocator share and nobody else sees:
 *
 *	buddy.c       pools: runs split and merged, the statistics
 *	pageblock.c   blocks that change class; owners
 *	pagecache.c   a few pages for each CPU, in front of the pools
 *	quarantine.c  runs that other CPUs may still reach
 *	pagealloc.c   page_alloc, page_free: the order in which these are asked, and bad use
 */
#pragma once
#include <stddef.h>
#include "arch/spinlock.h"
#include "mm/buddy.h"

struct pagecache;

struct buddy {
	struct spinlock lock; /* guards all below, all pools, and the pages of runs not in use */
	struct mem_pool pools[LOCAL]; /* SENSITIVE and GLOBAL; the LOCAL ones are in their owners */
	struct mem_owner *owners;     /* those that have blocks */
	struct pagecache *caches;     /* those that ever held a page */
	struct buddy_stats stats;     /* cached pages not counted as free */
	uint64_t fail_after;	      /* this many more allocations until one fails; 0: none will */
	uint32_t first_deferred, last_deferred; /* the quarantine, oldest first, as pfn + 1 */
	/* A bit for each GiB that has RAM of ours, and so has metadata. */
	uint64_t managed[PHYS_LIMIT / PAGE_SIZE_1G / 64];
};
extern struct buddy buddy;

/* @owner is NULL but for LOCAL, so a table and a sum do: where classes mix, nobody can foresee a branch. */
static inline struct mem_pool *pool_of(enum mem_class class, struct mem_owner *owner)
{
	static const uintptr_t base[MEM_CLASS_NR] = {
		[SENSITIVE] = (uintptr_t)&buddy.pools[SENSITIVE],
		[GLOBAL] = (uintptr_t)&buddy.pools[GLOBAL],
		[LOCAL] = offsetof(struct mem_owner, pool),
	};

	return (struct mem_pool *)(base[class] + (uintptr_t)owner);
}

/* The pool that the block of @page belongs to. */
static inline struct mem_pool *page_pool(const struct page *page)
{
	const struct pageblock *block = pfn_to_pageblock(page_to_pfn(page));

	return pool_of(block->class, block->owner);
}

/* Runs are linked by pfn + 1, so that zeroed memory is an empty list. */
static inline uint32_t page_to_link(const struct page *page)
{
	return (uint32_t)(page_to_pfn(page) + 1);
}

static inline struct page *link_to_page(uint32_t link)
{
	return pfn_to_page(link - 1UL);
}

/* Whether the buddy was ever given a page in the GiB of @hpa: only then is there metadata. */
static inline bool buddy_manages(hpa_t hpa)
{
	uint64_t gib = hpa.v / PAGE_SIZE_1G;

	return hpa.v < PHYS_LIMIT && buddy.managed[gib / 64] >> gib % 64 & 1;
}

/*
 * With the lock held. A run taken is PAGE_USED; a run given, or to be split, is in no pool, and its
 * head is anything but PAGE_FREE.
 */
struct page *pool_take(struct mem_pool *pool, unsigned int order);
void pool_give(struct mem_pool *pool, struct page *run, unsigned int order);
/* The smallest run there is, of at most @max pages: one that is larger is split as little as may be. */
struct page *pool_take_some(struct mem_pool *pool, uint32_t max);
/* @nr pages side by side. */
void pool_give_some(struct mem_pool *pool, struct page *page, uint32_t nr);
/* After memory was taken to be used. */
void pool_note_peak(struct mem_pool *pool);
/* Makes of @run a used one of order @to; the rest goes to @pool. */
void pool_split(struct mem_pool *pool, struct page *run, unsigned int from, unsigned int to);

/* Without the lock. Moves @run, whole blocks taken and counted in nr_moving, from its class to @class. */
void pageblock_convert(struct page *run, enum mem_class class, struct mem_owner *owner);
/* Whether @pool has more idle blocks than it should; without the lock: then some go to SENSITIVE. */
bool pool_has_surplus(const struct mem_pool *pool);
void pool_trim_surplus(struct mem_pool *pool);
/* Without the lock: idle blocks of some pool go back to SENSITIVE; false if there are none. */
bool pageblock_reclaim(void);
