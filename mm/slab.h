/* SPDX-License-Identifier: MIT */
/*
 * Object caches (Bonwick). A cache has one class, and for LOCAL one owner, for
 * life; caches never merge and never share a page, so the bookkeeping of a
 * nonsensitive cache, its per-CPU part included, lies in its own nonsensitive pages,
 * and alloc and free do not cross.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "arch/spinlock.h"
#include "lib/compiler.h"
#include "lib/list.h"
#include "mm/class.h"

struct slab;
struct slab_word;

/* What a CPU takes objects from, and puts them back to. */
struct slab_cpu {
	struct slab_word *word; /* of @slab: the 64 objects that the next one is taken from */
	uint8_t *base;		/* the first of them */
	struct slab_word *near; /* 64 of a slab of this CPU's, into which one was freed last */
	uint8_t *near_base;	/* the first of them */
	uint64_t near_last;	/* what it says when its slab is empty; 0: that is not near */
	struct slab *slab;	/* NULL: none, and no object is free in @word */
	struct list partial;	/* its other slabs that have free objects */
} __aligned(64);

struct slab_cache {
	/* What the fast path reads. */
	struct slab_cpu *cpus; /* for each CPU one */
	uint64_t window;       /* where RAM starts in the window of this class */
	uint64_t run_mask;     /* bytes of a slab - 1 */
	uint64_t tag;	       /* the cache's address, encoded */
	uint64_t head_size;    /* bytes from the head of a slab to its first object */
	uint64_t inverse;      /* modulo 2^64, of the odd number that is stride >> shift */
	uint32_t shift;
	uint32_t per_slab;     /* objects of a slab */
	uint32_t stride, size; /* bytes from object to object; that the user may touch */

	const char *name; /* a string constant */
	uint32_t align;
	uint32_t order, colours; /* pages of a slab, as an order; places its head may have */
	enum mem_class class;
	bool kmalloc; /* kfree() may free its objects */
	struct mem_owner *owner;
	struct slab_cache *next; /* of this class and owner */

	struct spinlock lock;	/* guards all below, slabs in shared or empty, and remote maps */
	struct slab_cpu shared; /* of all CPUs, until cpus is made; then of slabs without a CPU */
	struct list slabs;	/* all */
	struct list empty;	/* all objects free; the one emptied last comes first */
	uint64_t nr_slabs, nr_empty;
	uint32_t slow_calls;
	uint32_t epoch;
	uint64_t keep, nr_released, min_empty; /* how many empty slabs stay: see release() */
};

/*
 * Starts *@cache for objects of @size bytes (1 to SLAB_SIZE_MAX), aligned to
 * @align (a power of two up to 64; 0 means 16); other values are an assertion. The
 * struct itself lies in memory of the same class. Nothing is allocated yet.
 */
#define SLAB_SIZE_MAX 32768
void slab_cache_init(struct slab_cache *cache, const char *name, size_t size, size_t align,
		     enum mem_class class, struct mem_owner *owner);
/*
 * Ends it, when no CPU uses it any more; live objects are an assertion that names
 * the cache, their number, and the first of them. It frees pages: no lock may be held.
 */
void slab_cache_destroy(struct slab_cache *cache);

/*
 * One object, or NULL if memory has run out. What stands in it an earlier user of the
 * same cache has left there; slab_zalloc clears it. Any context but NMI.
 */
void *slab_alloc(struct slab_cache *cache);
void *slab_zalloc(struct slab_cache *cache);
/*
 * A double free, or what is not an object of this cache, is an assertion that names
 * cache, object and caller. NULL is ignored. Objects may be freed on any CPU. May free
 * pages, so no lock may be held (page_free).
 */
void slab_free(struct slab_cache *cache, void *object);

/*
 * Gives back the empty slabs that the caches of @class and, for LOCAL only, @owner (else NULL)
 * keep for later; how many pages. slab_alloc does so before it fails. No lock may be held.
 */
uint64_t slab_trim(enum mem_class class, struct mem_owner *owner);

/* The cache that @hva belongs to, NULL if none: for reports, any address will do. */
struct slab_cache *slab_cache_of(const void *hva);

/* Objects of @cache in use: exact if no other CPU is at it. */
uint64_t slab_cache_live(struct slab_cache *cache);

struct slab_stats {
	uint64_t slabs, empty_slabs;
	uint64_t objects;	/* live ones */
	uint64_t bytes;		/* of all slabs */
	uint64_t objects_bytes; /* of the live objects */
};
/* Of all caches of @class and, for LOCAL only, @owner (else NULL). */
void slab_get_stats(enum mem_class class, struct mem_owner *owner, struct slab_stats *out);

/* Once, early: makes the keys of later caches differ from one boot to the next. */
void slab_seed(uint64_t random);
