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
 * Any context but NMI. It may convert, but only from SENSITIVE, and so never waits for a CPU.
 */
void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner);
void *page_zalloc(unsigned int order, enum mem_class class, struct mem_owner *owner);

/*
 * Gives back what page_alloc returned, with the same order. A free, foreign,
 * misaligned address or another order is an assertion. Whole free pageblocks of
 * LOCAL and GLOBAL pools go back to SENSITIVE (hidden and scrubbed first), but for
 * one that each pool keeps. To hide is to wait for other CPUs: no lock may be held.
 */
void page_free(void *hva, unsigned int order);

/* Starts a pool; an owner's pool must be empty of allocations when it ends, all blocks return. */
void mem_owner_init(struct mem_owner *owner, uint16_t id);
void mem_owner_destroy(struct mem_owner *owner);

struct buddy_stats {
	uint64_t total_pages;		    /* ever given by buddy_add */
	uint64_t free_pages[MEM_CLASS_NR];  /* LOCAL: all owners together */
	uint64_t block_pages[MEM_CLASS_NR]; /* pages in blocks of this class */
	uint64_t conversions;		    /* blocks that changed class */
	uint64_t failures;		    /* page_alloc calls that returned NULL */
};
void buddy_get_stats(struct buddy_stats *out);

/*
 * Makes the @n-th page_alloc from now fail (0: none), so that tests reach every
 * error path. Counts down over all classes.
 */
void buddy_fail_after(uint64_t n);
