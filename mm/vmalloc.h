/* SPDX-License-Identifier: MIT */
/*
 * Virtually contiguous memory with a guard page on each side, one address range
 * per class and, for LOCAL, 1 GiB per owner, so that the address tells the class
 * and the owner (arch/layout.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "mm/class.h"

/*
 * @len bytes, rounded up to whole pages, cleared; NULL if memory or addresses
 * have run out. @owner as for page_alloc. Not from interrupt context.
 */
void *vmalloc(size_t len, enum mem_class class, struct mem_owner *owner);
/* Gives back what vmalloc returned; anything else is an assertion. NULL is ignored. */
void vfree(void *hva);

/*
 * The area that @hva lies in, or else the one above or below whose guard page it is:
 * for reports. False if there is none.
 */
bool vmalloc_area_of(const void *hva, void **start, size_t *len);

/*
 * REQUIRED of mm/hostmap.c: map or unmap the pages of an area in the tables that
 * the class names. hostmap_vmap may fail with -ENOMEM and then has mapped nothing;
 * hostmap_vunmap returns when no CPU can hold a translation.
 */
__must_check int hostmap_vmap(void *hva, const hpa_t *frames, size_t nr_pages);
void hostmap_vunmap(void *hva, size_t nr_pages);
/* REQUIRED of mm/hostmap.c: the frame behind a mapped vmalloc page. */
hpa_t hostmap_vlookup(const void *hva);
