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
 *
 * What a bin gave last is likely to come back next. It then stays where it is, outside the array: the bin
 * remembers its address, and the page's own metadata, which has to be written anyway, says by the number of the
 * bin that it is there. So a pair of alloc and free stores nothing that tells the next pair an address: through
 * the array each load would wait for the store before it. Nothing is to be forgotten when that page goes
 * elsewhere, for then its metadata says something else.
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
	void *last;		 /* what it gave last; NULL: nothing yet */
	uint32_t number;	 /* of all bins of all CPUs; from 1 */
	uint32_t nr;		 /* pages in the array */
	uint32_t missed;	 /* by others since its owner last missed; under the lock */
	/* The topmost is the warmest. One more than is put there, for the last page when all are given back. */
	struct page *page[PAGECACHE_MAX + 1];
};

struct pagecache {
	void *last; /* what any bin gave last; first no page's address */
	struct pagecache_bin bin[PAGECACHE_BINS];
	uint32_t limit; /* PAGECACHE_MAX; 0: never used, off, or another CPU wants the pages */
	bool off;	/* while tests count allocations, and for good when the CPU ends */
	bool listed;	/* in buddy.caches */
	struct pagecache *next; /* there */
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

/* Kept in a register: gcc would compute it anew for each field, and save registers for that. */
static inline struct pagecache_bin *pagecache_bin_at(struct pagecache *c, unsigned int n)
{
	struct pagecache_bin *bin = &c->bin[n];

	__asm__("" : "+r"(bin));
	return bin;
}

/* By any CPU. */
static inline bool pagecache_bin_is(const struct pagecache_bin *bin, const struct mem_owner *owner)
{
	return __atomic_load_n(&bin->owner, __ATOMIC_RELAXED) == owner;
}

static inline struct page *pagecache_page(const void *hva)
{
	return pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
}

/* The page that @bin gave last if that is back in it, or NULL. By any CPU. */
static inline struct page *pagecache_last(const struct pagecache_bin *bin)
{
	const void *last = __atomic_load_n(&bin->last, __ATOMIC_RELAXED);
	struct page *page;

	if (!last)
		return NULL;
	page = pagecache_page(last);
	return __atomic_load_n(&page->bin, __ATOMIC_RELAXED) == bin->number ? page : NULL;
}

/* All pages in @bin. By any CPU. */
static inline uint32_t pagecache_nr(const struct pagecache_bin *bin)
{
	return __atomic_load_n(&bin->nr, __ATOMIC_RELAXED) + !!pagecache_last(bin);
}

/* The topmost of the array of @bin, of this CPU's, which has one. */
static inline void *pagecache_pop(struct pagecache_bin *bin, bool local)
{
	uint32_t nr = bin->nr - 1;
	struct page *page = bin->page[nr];
	void *hva;

	/* Another word: freed on two CPUs at once, too close for either to notice. */
	ASSERT(page->word == PAGE_WORD(PAGE_CACHED, 0));
	page_set_word(page, PAGE_WORD(PAGE_USED, 0));
	__atomic_store_n(&bin->nr, nr, __ATOMIC_RELAXED);
	hva = hpa_to_alias(pfn_to_hpa(page_to_pfn(page)), local);
	__atomic_store_n(&bin->last, hva, __ATOMIC_RELAXED);
	this_cpu(pagecache.last) = hva;
	return hva;
}

/* The address of a page of @class (LOCAL at most) from this CPU's cache, now PAGE_USED, or NULL. */
static __always_inline void *pagecache_take(enum mem_class class, const struct mem_owner *owner)
{
	unsigned int n = pagecache_bin(class, owner);
	uint64_t flags = irq_save();
	struct pagecache_bin *bin = pagecache_bin_at(this_cpu_ptr(pagecache), n);
	struct page *page;
	void *hva = NULL;

	if (likely(pagecache_bin_is(bin, owner))) {
		page = pagecache_last(bin);
		if (page) {
			hva = bin->last;
			page_set_word(page, PAGE_WORD(PAGE_USED, 0));
		} else if (likely(bin->nr)) {
			hva = pagecache_pop(bin, class == LOCAL);
		}
	}
	irq_restore(flags);
	return hva;
}

/*
 * Puts the page at @hva, of order 0, back where it came from if that was this CPU's last; false if it was not, is
 * not in use, or has changed hands, which is page_if_used()'s to look at. The first comparison, with interrupts
 * on, spares others the rest: what it finds is found again.
 */
static inline bool pagecache_put_last(const void *hva)
{
	const struct pageblock *block;
	struct pagecache_bin *bin;
	struct pagecache *c;
	struct page *page;
	uint64_t flags;
	bool fits;

	if (hva != this_cpu(pagecache.last))
		return false;
	page = pagecache_page(hva);
	block = pfn_to_pageblock(page_to_pfn(page));
	flags = irq_save();
	c = this_cpu_ptr(pagecache);
	bin = pagecache_bin_at(c, block->bin);
	/* Of the bin's class and owner still, so by the alias of its class. */
	fits = bin->last == hva && pagecache_bin_is(bin, block->owner) &&
	       page->word == PAGE_WORD(PAGE_USED, 0) &&
	       __atomic_load_n(&c->limit, __ATOMIC_RELAXED);
	if (likely(fits))
		page_set_word(page, PAGE_WORD(PAGE_CACHED, bin->number));
	irq_restore(flags);
	return fits;
}

/* Puts @page of @block, in use and of order 0, into this CPU's cache; false if there is no room. */
static inline bool pagecache_put(struct page *page, const struct pageblock *block)
{
	uint64_t flags = irq_save();
	struct pagecache *c = this_cpu_ptr(pagecache);
	struct pagecache_bin *bin = pagecache_bin_at(c, block->bin);
	bool fits = pagecache_bin_is(bin, block->owner) &&
		    bin->nr < __atomic_load_n(&c->limit, __ATOMIC_RELAXED);

	if (likely(fits)) {
		uint32_t nr = bin->nr;

		bin->page[nr] = page;
		page_set_word(page, PAGE_WORD(PAGE_CACHED, 0));
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
