/* SPDX-License-Identifier: MIT */
/*
 * Virtually contiguous memory with a guard page on each side, one address range
 * per class and, for LOCAL, 1 GiB per owner, so that the address tells the class
 * and the owner (arch/layout.h).
 *
 * What is freed is unmapped lazily: its pages and addresses are kept aside until its range has a
 * batch of them, which is unmapped, flushed once, and given back. Until then nobody finds or gets
 * them; a stale pointer reads memory that has not changed class or owner. Each range has its own
 * batch and counters, so that what one owner frees says nothing to another.
 *
 * The pages do not go through the quarantine (mm/quarantine.h): it keeps pages and knows of no addresses,
 * which may not be used again either before every CPU has flushed. So a batch flushes anyway, and that
 * one flush makes its pages safe too.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "mm/class.h"

/* A range's batch is unmapped as soon as it has as many of either. */
#define VMALLOC_LAZY_PAGES 256
#define VMALLOC_LAZY_AREAS 32

/*
 * @len bytes, rounded up to whole pages, cleared; NULL if memory or addresses
 * have run out, what is kept aside included. @owner as for page_alloc. Not from interrupt
 * context; as vfree, it may unmap and so wait for other CPUs: no lock may be held.
 */
void *vmalloc(size_t len, enum mem_class class, struct mem_owner *owner);
/* Gives back what vmalloc returned; anything else is a panic that names it. NULL is ignored. */
void vfree(void *hva);

/* Unmaps all that is kept aside, with one flush for each range: when memory is short. Returns the pages given back. */
uint64_t vmalloc_flush(void);
/*
 * The same for one owner, who has freed all his areas (a panic names one that he has not): comes
 * before mem_owner_destroy(). Afterwards his counters are zero.
 */
void vmalloc_owner_end(struct mem_owner *owner);

/*
 * The area that @hva lies in, or else the one above or below whose guard page it is:
 * for reports. False if there is none.
 */
bool vmalloc_area_of(const void *hva, void **start, size_t *len);

/*
 * The frame that belongs at @hva, any address, by the books of its area and not by any table; areas that
 * are kept aside or being unmapped count. HPA_NONE if there is none.
 */
hpa_t vmalloc_frame(uint64_t hva);

struct vmalloc_stats {
	uint64_t areas, pages;		 /* in use; descriptors and guard pages do not count */
	uint64_t lazy_areas, lazy_pages; /* freed and kept aside */
	uint64_t flushes;		 /* batches unmapped */
	uint64_t max_pages;		 /* the most there ever were, in use and aside together */
};
/* Of one class, for LOCAL of one owner. */
void vmalloc_get_stats(enum mem_class class, const struct mem_owner *owner,
		       struct vmalloc_stats *out);

/*
 * REQUIRED of mm/hostmap.c: map or unmap the pages of an area in the tables that
 * the class names. hostmap_vmap may fail with -ENOMEM and then has mapped nothing. After
 * hostmap_vunmap CPUs may still hold translations, until unmap_flush() (mm/quarantine.h).
 */
__must_check int hostmap_vmap(void *hva, const hpa_t *frames, size_t nr_pages);
void hostmap_vunmap(void *hva, size_t nr_pages);
/* REQUIRED of mm/hostmap.c: the frame behind a mapped vmalloc page. */
hpa_t hostmap_vlookup(const void *hva);
