/* SPDX-License-Identifier: MIT */
/*
 * Memory classes, and what mm REQUIRES of asi when memory changes class.
 *
 * Every page has a class, stated by whoever allocates it. Zero means sensitive,
 * so what is forgotten is safe and merely slow. The class belongs to a 2 MiB
 * pageblock; it changes in pageblock_convert() and nowhere else.
 */
#pragma once
#include <stdint.h>
#include "mm/addr.h"

enum mem_class {
	SENSITIVE, /* may leak to nobody: the unrestricted tables only */
	GLOBAL,	   /* may leak to any guest: in every restricted space */
	LOCAL,	   /* may leak to its owner's guest: in the owner's restricted spaces */
	MEM_CLASS_NR
};

#define PAGEBLOCK_ORDER 9 /* 2 MiB */
#define PAGEBLOCK_SIZE	PAGE_SIZE_2M
#define PAGEBLOCK_PAGES (1UL << PAGEBLOCK_ORDER)
#define PAGE_ORDER_MAX	18 /* 1 GiB: the largest run the buddy hands out */

/*
 * The free runs of one class (and owner), a list per order: here is the first run,
 * as pfn + 1 (0: none), and struct page links on. Guarded by the buddy's lock.
 */
struct mem_pool {
	uint32_t free[PAGE_ORDER_MAX + 1];
	uint64_t nr_free;	 /* pages on the lists */
	uint64_t nr_free_blocks; /* whole pageblocks among them */
	uint64_t nr_pages;	 /* pages of the pageblocks that carry this class and owner */
	uint64_t nr_deferred;	 /* pages in quarantine */
	uint64_t nr_moving;	 /* pages that some CPU is taking out, to be converted */
	uint64_t peak;		 /* most pages ever off the lists at once */
	uint64_t converted_in, converted_out; /* pageblocks */
};

/*
 * Who LOCAL memory belongs to: a VM, or a vCPU whose parent is the VM. Numbers start at 1. Itself in
 * GLOBAL memory.
 */
struct mem_owner {
	uint16_t id;
	struct mem_owner *parent; /* whose memory is mapped wherever this one's is; NULL for a VM */
	struct mem_pool pool;
	struct mem_owner *next, *prev;	/* of those that have blocks; guarded by the buddy's lock */
	struct slab_cache *caches;	/* all of its slab caches (mm/slab.c) */
	struct kmalloc_caches *kmalloc; /* what kmalloc() serves it from */
};

#define OWNER_MAX 511 /* VMALLOC_LOCAL has room for as many */

/*
 * REQUIRED of asi/map.c: blocks are about to change class, which touches sensitive memory: leaves the
 * restricted space by call, where that is possible, instead of by a fault.
 */
void pageblock_leave_restricted(void);

/*
 * REQUIRED of asi/map.c: map [@first, @first + @nr_blocks * 2 MiB) into the
 * restricted spaces that @class (GLOBAL or LOCAL) and @owner (LOCAL only, else
 * NULL) name, or take it out again. Neither allocates or fails. pageblock_hide
 * returns when no CPU can hold a translation any more: no lock may be held.
 */
void pageblock_expose(hpa_t first, uint64_t nr_blocks, enum mem_class class,
		      struct mem_owner *owner);
void pageblock_hide(hpa_t first, uint64_t nr_blocks, enum mem_class class, struct mem_owner *owner);
