/* SPDX-License-Identifier: MIT */
/*
 * Object caches (Bonwick). A cache has one class, and for LOCAL one owner, for
 * life; caches never merge and never share a page, so the bookkeeping of a
 * nonsensitive cache lives in its own nonsensitive pages and alloc and free do
 * not cross.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "arch/spinlock.h"
#include "lib/list.h"
#include "mm/class.h"

struct slab_cache {
	const char *name;		  /* a string constant */
	uint32_t stride, align, per_slab; /* bytes from object to object, ..., objects of a slab */
	uint32_t order;			  /* pages of a slab, as an order */
	uint32_t index;			  /* number in the cache table; page->slab holds it */
	enum mem_class class;
	struct mem_owner *owner;
	struct list partial; /* slabs with a free object, those without a live one last */
	struct list full;
	uint64_t nr_slabs, nr_empty, nr_objects;
	struct spinlock lock;
};

/*
 * Starts *@cache for objects of @size bytes (1 to SLAB_SIZE_MAX), aligned to
 * @align (a power of two up to 64; 0 means 16). The struct itself lies in memory
 * of the same class. 0, or -EINVAL, or -ENOSPC if there are too many caches.
 */
#define SLAB_SIZE_MAX 32768
__must_check int slab_cache_init(struct slab_cache *cache, const char *name, size_t size,
				 size_t align, enum mem_class class, struct mem_owner *owner);
/* Ends it; a live object is an assertion that names the cache. */
void slab_cache_destroy(struct slab_cache *cache);

/* One object, cleared; NULL if memory has run out. Any context but NMI. */
void *slab_alloc(struct slab_cache *cache);
/*
 * A double free, or an object of another cache, is an assertion that names the
 * cache. NULL is ignored. May free pages, so no lock may be held (page_free).
 */
void slab_free(struct slab_cache *cache, void *object);

/* The cache that @hva belongs to, NULL if none: for reports, any address will do. */
const struct slab_cache *slab_cache_of(const void *hva);
