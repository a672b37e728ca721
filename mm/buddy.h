/* SPDX-License-Identifier: MIT */
/*
 * Page frames by order, with free lists per class, owner and order. A run never
 * mixes classes: split and merge stay inside one pool, and a pool that is empty
 * takes whole pageblocks from the SENSITIVE pool by pageblock_convert(), which
 * is the one place where memory changes class: reserve, hide, scrub, retag, expose.
 */
#pragma once
#include <stdbool.h>
#include "mm/class.h"
#include "mm/page.h"

/* Gives [@start, @end) of RAM, not yet managed, to the SENSITIVE pool. Page metadata exists for it. */
void buddy_add(hpa_t start, hpa_t end);

/*
 * 2^@order pages (order <= PAGE_ORDER_MAX), naturally aligned, of @class and,
 * for LOCAL only, @owner (else NULL). Returns the address (local window if LOCAL,
 * direct map otherwise), or NULL if memory has run out. The contents are whatever
 * the class left there (never another class's or owner's); page_zalloc clears.
 * Any context but NMI. It may convert from SENSITIVE, which waits for no CPU. When memory has run
 * out it gets back what is cached, quarantined or idle; where tlb_can_wait() allows, by waiting.
 */
void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner);
void *page_zalloc(unsigned int order, enum mem_class class, struct mem_owner *owner);

/*
 * Gives back what page_alloc returned, with the same order. A free, foreign,
 * misaligned address or another order is a panic that names caller and address. Free pageblocks of
 * LOCAL and GLOBAL pools go back to SENSITIVE (hidden and scrubbed first), but for
 * a few that each pool keeps. To hide is to wait for other CPUs: no lock may be held.
 */
void page_free(void *hva, unsigned int order);

/*
 * Makes of a run in use, @order as it was allocated, runs of order @to, each to be freed by itself. Of
 * another order or free: a panic, as in page_free.
 */
void page_split(void *hva, unsigned int order, unsigned int to);

/*
 * Gives back everything that is free but not where all can use it: this CPU's cached pages, the
 * quarantine, idle blocks of other classes. Waits for other CPUs: no lock may be held. Other CPUs are
 * asked for what they cache, and give it back when they next allocate or free (mm/pagecache.h).
 */
void page_reclaim(void);

/*
 * Starts a pool. When an owner ends, nothing of his is allocated any more and no CPU is in page_alloc() or
 * page_free() for him: all blocks return, whatever CPU caches their pages.
 */
void mem_owner_init(struct mem_owner *owner, uint16_t id);
void mem_owner_destroy(struct mem_owner *owner);
/*
 * Gives every idle pageblock of @owner back to SENSITIVE, hidden and scrubbed: what page_free leaves in the
 * pool would still be mapped. A block of which another CPU caches a page is not idle: that CPU is asked for it,
 * and gives it to the pool when it next allocates or frees. Waits for other CPUs: no lock may be held.
 */
void mem_owner_trim(struct mem_owner *owner);

struct buddy_stats {
	uint64_t total_pages;		     /* ever given by buddy_add */
	uint64_t free_pages[MEM_CLASS_NR];   /* LOCAL: all owners together */
	uint64_t cached_pages[MEM_CLASS_NR]; /* of the free ones: in CPUs' caches */
	uint64_t deferred_pages;	     /* in quarantine, not counted as free */
	uint64_t block_pages[MEM_CLASS_NR];  /* pages in blocks of this class */
	uint64_t conversions;		     /* blocks that changed class */
	uint64_t failures;		     /* page_alloc calls that returned NULL */
};
void buddy_get_stats(struct buddy_stats *out);

/* Of one class, or of one owner's LOCAL memory. */
struct mem_stats {
	uint64_t pages;	   /* in blocks of this class and owner */
	uint64_t blocks;   /* whole ones of 2 MiB */
	uint64_t free;	   /* of the pages, those on free lists and in caches */
	uint64_t cached;   /* in caches */
	uint64_t deferred; /* in quarantine, not counted as free */
	uint64_t converted_in,
		converted_out; /* blocks that became, and ceased to be, of this class */
	uint64_t peak;	       /* most pages ever in use at once; a cached page counts as used */
};
void mem_get_stats(enum mem_class class, struct mem_owner *owner, struct mem_stats *out);

/*
 * Makes the @n-th page_alloc from now fail (0: none), so that tests reach every
 * error path. Counts down over all classes; meanwhile this CPU caches no pages, so that none escapes.
 */
void buddy_fail_after(uint64_t n);
