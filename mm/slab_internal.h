/* SPDX-License-Identifier: MIT */
/* What the two halves of the slab allocator share: slab.c, objects; slab_run.c, the pages below. */
#pragma once
#include "lib/bitops.h"
#include "mm/page.h"
#include "mm/slab.h"

#define SLAB_WORD_BITS	  64
#define SLAB_REDZONE_SIZE 16 /* at least, in debug builds */

/*
 * 64 objects of a slab, a bit each: free for whom the slab belongs to, or freed by another
 * CPU and not yet collected. Live objects have 0 in both. The bits behind the last object are 0
 * in @free, so that nothing is taken there, and 1 in @remote for ever, so that nothing is put there.
 */
struct slab_word {
	uint64_t free;	 /* written by the slab's owner only */
	uint64_t remote; /* guarded by the cache's lock */
};

/* The head of a slab; its offset in the run is struct page's @slab, a multiple of a cache line. */
struct slab {
	struct list link; /* in its owner's or its cache's list; by itself: all live, or current */
	struct list all;  /* in cache->slabs */
	uint64_t tag;	  /* slab_tag() */
	struct slab_cpu *owner; /* a CPU's, or the cache's @shared: nobody's */
	struct slab_word words[];
};
_Static_assert(sizeof(struct slab) + sizeof(struct slab_word) == 64,
	       "mostly one cache line is read");

/* Part of all tags, different in each boot. */
extern uint64_t slab_key;

/* Says that there is a slab of @cache at @slab: the cache's address, encoded, with the slab's. */
static __always_inline uint64_t slab_tag(const struct slab_cache *cache, const struct slab *slab)
{
	return cache->tag ^ (uint64_t)slab;
}

static inline uint64_t slab_encode_cache(const struct slab_cache *cache)
{
	return __builtin_bswap64((uint64_t)cache) ^ slab_key;
}

static inline struct slab_cache *slab_tag_cache(const struct slab *slab)
{
	return (struct slab_cache *)__builtin_bswap64(slab->tag ^ (uint64_t)slab ^ slab_key);
}

static inline uint32_t slab_nr_words(const struct slab_cache *cache)
{
	return DIV_ROUND_UP(cache->per_slab, SLAB_WORD_BITS);
}

/* The bits of word @nr that stand for objects. */
static inline uint64_t slab_word_all(const struct slab_cache *cache, uint64_t nr)
{
	uint64_t nr_objects = cache->per_slab - nr * SLAB_WORD_BITS;

	return nr_objects < SLAB_WORD_BITS ? BIT(nr_objects) - 1 : ~0UL;
}

static inline uint8_t *slab_object(const struct slab_cache *cache, const struct slab *slab,
				   uint64_t nr)
{
	return (uint8_t *)slab + cache->head_size + nr * cache->stride;
}

/*
 * The number of the object at @object, counted from the one at @base; if @object is none or stands
 * in front of @base, a number that no slab has. A multiplication by an odd number and a rotation
 * map 64 bits one to one; this pair takes q strides to q, so nothing else gets there.
 */
static __always_inline uint64_t slab_number(const struct slab_cache *cache, const uint8_t *base,
					    const void *object)
{
	return rotate_right(((uint64_t)object - (uint64_t)base) * cache->inverse, cache->shift);
}

/*
 * The slab of @cache in which an object starts at @object, and its number there; NULL if there
 * is none. Nothing but page metadata is read before it is sure that this is a slab.
 */
static __always_inline struct slab *slab_of(const struct slab_cache *cache, const void *object,
					    uint64_t *nr)
{
	const struct page *page;
	uint64_t hpa, offset;
	struct slab *slab;

	hpa = (uint64_t)object - cache->window;
	if (unlikely(hpa >= RAM_WINDOW_SIZE))
		return NULL;
	offset = hpa & cache->run_mask;
	page = pfn_to_page((hpa - offset) >> PAGE_SHIFT);
	if (unlikely(page->state != PAGE_SLAB))
		return NULL;
	slab = (struct slab *)((uint64_t)object - offset + page->slab);
	if (unlikely(slab->tag != slab_tag(cache, slab)))
		return NULL;
	*nr = slab_number(cache, slab_object(cache, slab, 0), object);
	return likely(*nr < cache->per_slab) ? slab : NULL;
}

/* ---- slab_run.c ---- */

/* Sets what follows from stride and alignment. */
void slab_geometry(struct slab_cache *cache);
/* A slab all of whose objects are free, on no list; or NULL. No lock is held: it may convert. */
struct slab *slab_create(struct slab_cache *cache);
/* Frees the slabs of a list; how many pages. No lock is held: page_free may wait. */
uint64_t slab_destroy_all(struct list *slabs);

bool slab_is_empty(const struct slab_cache *cache, const struct slab *slab);
/*
 * Whether a word next to @word, around the end of @slab, has live objects. Most users free objects in
 * the order in which they got them, or in the reverse: false then means that @word's are the last.
 */
bool slab_live_beside(const struct slab_cache *cache, const struct slab *slab, uint64_t word);
/*
 * What other CPUs have freed into @slab becomes free for its owner, who calls, with the lock. Panics
 * if @slab, which one of the cache's lists or CPUs names, cannot be one of its slabs.
 */
void slab_collect(const struct slab_cache *cache, struct slab *slab);
/* A new slab joins the empty ones of its cache. The cache's lock is held, below too. */
void slab_add(struct slab_cache *cache, struct slab *slab);
/* @slab, all of whose objects are free, joins them; those that are too many go to @out. */
void slab_retire(struct slab_cache *cache, struct slab *slab, struct list *out);
/*
 * Moves all empty slabs but @keep to @out, for slab_destroy_all. How many stay follows from use:
 * one that has to be made again after it was released raises the number by one; those that
 * nobody needed for an epoch lower it.
 */
void slab_release(struct slab_cache *cache, uint64_t keep, struct list *out);

/* Why @object cannot be freed. */
__noreturn void slab_bad_free(const struct slab_cache *cache, const void *object,
			      const void *caller);
/* Panics if an object is live. */
void slab_check_none_live(const struct slab_cache *cache, const void *caller);
/* In debug builds: redzone and poison, checked and set, when an object changes hands. */
void slab_debug_alloc(const struct slab_cache *cache, uint8_t *object, const void *caller);
void slab_debug_free(const struct slab_cache *cache, uint8_t *object, const void *caller);
