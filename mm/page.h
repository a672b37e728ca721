/* SPDX-License-Identifier: MIT */
/*
 * Page metadata: 16 bytes for each page of RAM and 16 for each 2 MiB pageblock,
 * in virtually contiguous arrays backed only where RAM is. Every restricted
 * space maps it (GLOBAL), so that the allocators run without a crossing.
 *
 * A run's twin may lie in a hole, though never in another aligned GiB, so both
 * arrays read as zero all over a GiB that holds RAM. Zero is right for whatever is no head of a
 * run, the buddy's or not: so giving the buddy RAM writes to heads alone.
 */
#pragma once
#include "mm/class.h"

enum page_state {
	PAGE_TAIL,     /* inside a run whose head says more; or not the buddy's: see page_head() */
	PAGE_FREE,     /* head of a free run of 2^order pages */
	PAGE_USED,     /* head of an allocated run of 2^order pages */
	PAGE_SLAB,     /* head of a run that belongs to a slab cache */
	PAGE_CACHED,   /* free, in a CPU's cache (mm/pagecache.h): a run of order 0 */
	PAGE_DEFERRED, /* head of a run in quarantine (mm/quarantine.h) */
};

struct page {
	union {
		struct {
			uint8_t state; /* enum page_state */
			uint8_t order; /* of the run, valid in its head */
			uint16_t bin;  /* PAGE_CACHED: who gave it last (mm/pagecache.h); else 0 */
		};
		uint32_t word; /* the three, as PAGE_WORD() */
	};
	uint32_t next; /* links of lists as pfn + 1 (0 = none), enough for 16 TiB; see buddy.c */
	union {
		struct {
			uint32_t prev; /* PAGE_FREE */
			uint32_t slab; /* see mm/slab.c, mm/kmalloc.c; 0 in any other page */
		};
		uint64_t gen; /* PAGE_DEFERRED: the TLB generation when it was freed */
	};
};
_Static_assert(sizeof(struct page) == 16, "metadata stays below 0.5 % of RAM");

/* Of a run of order 0. */
#define PAGE_WORD(state, bin) ((uint32_t)(state) | (uint32_t)(bin) << 16)

struct pageblock {
	struct mem_owner *owner; /* LOCAL only */
	uint8_t class;		 /* enum mem_class */
	uint8_t bin;		 /* pagecache_bin() of both */
	uint16_t nr_managed;	 /* pages of it that are the buddy's */
	uint8_t unused2[4];
};
_Static_assert(sizeof(struct pageblock) == 16, "a page of them covers 512 MiB");

#include "arch/pagearray.h" /* page_array(), pageblock_array() */

static inline struct page *pfn_to_page(pfn_t pfn)
{
	return page_array() + pfn;
}

static inline pfn_t page_to_pfn(const struct page *page)
{
	return (pfn_t)(page - page_array());
}

static inline struct pageblock *pfn_to_pageblock(pfn_t pfn)
{
	return pageblock_array() + (pfn >> PAGEBLOCK_ORDER);
}

/*
 * For changes of state without the buddy's lock: to whoever looks from another CPU, at a twin to merge
 * with, neither state is PAGE_FREE.
 */
static inline void page_set_state(struct page *page, enum page_state state)
{
	__atomic_store_n(&page->state, (uint8_t)state, __ATOMIC_RELAXED);
}

/* The same of a run of order 0, with its bin: PAGE_WORD(). */
static inline void page_set_word(struct page *page, uint32_t word)
{
	__atomic_store_n(&page->word, word, __ATOMIC_RELAXED);
}

/*
 * The head of the run that @page is part of; @page itself, a PAGE_TAIL, if it is not the buddy's:
 * firmware, image, boot modules, metadata, holes.
 */
static inline struct page *page_head(struct page *page)
{
	pfn_t pfn = page_to_pfn(page);

	/* Runs are naturally aligned, so clearing low bits one by one cannot step over the head. */
	for (unsigned int bit = 0; bit <= PAGE_ORDER_MAX; bit++) {
		pfn_t at = pfn >> bit << bit;
		struct page *head = pfn_to_page(at);

		if (head->state != PAGE_TAIL)
			return pfn - at < 1UL << head->order ? head : page;
	}
	return page;
}

/* The address of a page by the class of its block: direct map, or local window if LOCAL. */
static inline void *page_hva(const struct page *page)
{
	pfn_t pfn = page_to_pfn(page);

	return hpa_to_alias(pfn_to_hpa(pfn), pfn_to_pageblock(pfn)->class == LOCAL);
}
