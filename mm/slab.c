/* SPDX-License-Identifier: MIT */
/*
 * Slab caches. A slab is one run of pages: a struct slab, then the objects. Which
 * objects live is a bitmap in the head, so nothing is ever written into a free object,
 * there is no link in one to corrupt, and a second free cannot go unseen.
 */
#include "mm/slab.h"
#include "arch/insn.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/memmap.h"
#include "mm/page.h"

#define SLAB_CACHES_MAX 1024
#define SLAB_ORDER_MAX	6 /* enough that an object of SLAB_SIZE_MAX wastes an eighth */
#define SLAB_ALIGN_MIN	8 /* clear_words */
#define SLAB_ALIGN_MAX	64
#define MAP_BITS	64

struct slab {
	struct list link; /* in one of its cache's lists */
	uint8_t *objects;
	uint32_t nr_live;
	uint64_t live[]; /* a bit for each object */
};

static __nonsensitive struct spinlock slab_caches_lock;
static __nonsensitive struct slab_cache *slab_caches[SLAB_CACHES_MAX];

/* Bytes in front of the objects, if there are @nr. */
static uint32_t slab_head_size(const struct slab_cache *cache, uint32_t nr)
{
	uint64_t size = sizeof(struct slab) + DIV_ROUND_UP(nr, MAP_BITS) * sizeof(uint64_t);

	return (uint32_t)DIV_ROUND_UP(size, cache->align) * cache->align;
}

/* The smallest order that wastes at most an eighth, and how many objects it holds. */
static void slab_geometry(struct slab_cache *cache)
{
	for (cache->order = 0;; cache->order++) {
		uint32_t size = (uint32_t)PAGE_SIZE << cache->order, nr = size / cache->stride;

		while (nr && slab_head_size(cache, nr) + nr * cache->stride > size)
			nr--;
		cache->per_slab = nr;
		if (size - nr * cache->stride <= size / 8 || cache->order == SLAB_ORDER_MAX)
			return;
	}
}

int slab_cache_init(struct slab_cache *cache, const char *name, size_t size, size_t align,
		    enum mem_class class, struct mem_owner *owner)
{
	uint64_t flags;
	uint32_t i = 0;

	ASSERT((class == LOCAL) == (owner != NULL));
	if (!align)
		align = 16;
	if (size < 1 || size > SLAB_SIZE_MAX || align > SLAB_ALIGN_MAX || (align & (align - 1)))
		return -EINVAL;
	align = MAX(align, SLAB_ALIGN_MIN);
	*cache = (struct slab_cache){ .name = name,
				      .stride = (uint32_t)ALIGN_UP(size, align),
				      .align = (uint32_t)align,
				      .class = class,
				      .owner = owner };
	list_init(&cache->partial);
	list_init(&cache->full);
	slab_geometry(cache);

	flags = spin_lock(&slab_caches_lock);
	while (i < SLAB_CACHES_MAX && slab_caches[i])
		i++;
	if (i < SLAB_CACHES_MAX) {
		slab_caches[i] = cache;
		cache->index = i;
	}
	spin_unlock(&slab_caches_lock, flags);
	return i < SLAB_CACHES_MAX ? 0 : -ENOSPC;
}

/* A slab that is on no list yet. No lock is held: the page allocator may convert. */
static struct slab *slab_create(const struct slab_cache *cache)
{
	struct slab *slab = page_alloc(cache->order, cache->class, cache->owner);
	uint32_t head_size = slab_head_size(cache, cache->per_slab);
	struct page *page;

	if (!slab)
		return NULL;
	clear_words(slab, head_size);
	slab->objects = (uint8_t *)slab + head_size;
	page = pfn_to_page(hpa_to_pfn(hva_to_hpa(slab)));
	page->slab = cache->index;
	page->state = PAGE_SLAB;
	return slab;
}

/* @slab is on no list any more. No lock is held: page_free may wait for other CPUs. */
static void slab_destroy(const struct slab_cache *cache, struct slab *slab)
{
	pfn_to_page(hpa_to_pfn(hva_to_hpa(slab)))->state = PAGE_USED;
	page_free(slab, cache->order);
}

void slab_cache_destroy(struct slab_cache *cache)
{
	uint64_t flags;

	if (cache->nr_objects)
		panic("slab %s: destroyed with %lu live objects", cache->name, cache->nr_objects);
	while (!list_empty(&cache->partial)) {
		struct slab *slab = list_entry(cache->partial.next, struct slab, link);

		list_del(&slab->link);
		slab_destroy(cache, slab);
	}
	flags = spin_lock(&slab_caches_lock);
	ASSERT(slab_caches[cache->index] == cache);
	slab_caches[cache->index] = NULL;
	spin_unlock(&slab_caches_lock, flags);
}

/* A slab from the partial list has a free object: its number, now live. */
static uint32_t slab_take(struct slab *slab)
{
	uint32_t word = 0, bit;

	while (!~slab->live[word])
		word++;
	bit = bit_lowest(~slab->live[word]);
	slab->live[word] |= BIT(bit);
	slab->nr_live++;
	return word * MAP_BITS + bit;
}

void *slab_alloc(struct slab_cache *cache)
{
	struct slab *slab;
	uint64_t flags = spin_lock(&cache->lock);
	void *object;

	if (list_empty(&cache->partial)) {
		spin_unlock(&cache->lock, flags);
		slab = slab_create(cache);
		if (!slab)
			return NULL;
		flags = spin_lock(&cache->lock);
		list_add_tail(&cache->partial, &slab->link);
		cache->nr_slabs++;
		cache->nr_empty++;
	}
	slab = list_entry(cache->partial.next, struct slab, link);
	if (slab->nr_live == 0)
		cache->nr_empty--;
	object = slab->objects + (size_t)slab_take(slab) * cache->stride;
	cache->nr_objects++;
	if (slab->nr_live == cache->per_slab) {
		list_del(&slab->link);
		list_add(&cache->full, &slab->link);
	}
	spin_unlock(&cache->lock, flags);

	clear_words(object, cache->stride);
	return object;
}

/* The slab of @cache that holds @object, and its number there; any other address panics. */
static struct slab *slab_of(const struct slab_cache *cache, const void *object, uint32_t *nr)
{
	struct page *page;
	struct slab *slab;
	uint64_t offset;

	if (!hva_is_ram(object))
		panic("slab %s: free of %p, which is not RAM", cache->name, object);
	page = page_head(pfn_to_page(hpa_to_pfn(hva_to_hpa(object))));
	if (page->state != PAGE_SLAB || page->slab != cache->index)
		panic("slab %s: free of %p, which is not of this cache", cache->name, object);
	slab = page_hva(page);
	/* The wrong alias, or a place in the head, gives an offset far too large. */
	offset = (uint64_t)object - (uint64_t)slab->objects;
	if (offset % cache->stride || offset / cache->stride >= cache->per_slab)
		panic("slab %s: free of %p, which is not where an object starts", cache->name,
		      object);
	*nr = (uint32_t)(offset / cache->stride);
	return slab;
}

void slab_free(struct slab_cache *cache, void *object)
{
	struct slab *slab;
	uint64_t flags;
	uint32_t nr;
	bool surplus;

	if (!object)
		return;
	slab = slab_of(cache, object, &nr);

	flags = spin_lock(&cache->lock);
	if (!(slab->live[nr / MAP_BITS] & BIT(nr % MAP_BITS)))
		panic("slab %s: double free of %p", cache->name, object);
	slab->live[nr / MAP_BITS] &= ~BIT(nr % MAP_BITS);
	cache->nr_objects--;
	if (slab->nr_live-- == cache->per_slab) {
		list_del(&slab->link);
		list_add(&cache->partial, &slab->link);
	}
	/* One empty slab stays, behind the others, so that alternating calls need no pages. */
	surplus = slab->nr_live == 0 && cache->nr_empty > 0;
	if (surplus) {
		list_del(&slab->link);
		cache->nr_slabs--;
	} else if (slab->nr_live == 0) {
		list_del(&slab->link);
		list_add_tail(&cache->partial, &slab->link);
		cache->nr_empty++;
	}
	spin_unlock(&cache->lock, flags);

	if (surplus)
		slab_destroy(cache, slab);
}

const struct slab_cache *slab_cache_of(const void *hva)
{
	struct page *page;

	if (!hva_is_ram(hva) || !memmap_is_ram(hva_to_hpa(hva).v, 1))
		return NULL;
	page = page_head(pfn_to_page(hpa_to_pfn(hva_to_hpa(hva))));
	return page->state == PAGE_SLAB ? slab_caches[page->slab] : NULL;
}
