/* SPDX-License-Identifier: MIT */
/* What lies below the objects: slabs as runs of pages; and what is said of bad use. */
#include "arch/insn.h"
#include "lib/assert.h"
#include "mm/buddy.h"
#include "mm/memmap.h"
#include "mm/slab_internal.h"

#define ORDER_MAX 6 /* enough that an object of SLAB_SIZE_MAX wastes an eighth */
/* Changing slabs takes time: objects up to SMALL get slabs of PER_SLAB_MIN, or of SMALL_ORDER. */
#define SMALL	     1024
#define PER_SLAB_MIN 500
#define SMALL_ORDER  3

#define LINE	 64
#define SAID_MAX 3 /* objects that a destroyed cache left live */

#define KEEP_BYTES  MiB(2) /* of empty slabs, at most, in one cache */
#define EPOCH	    64	   /* slabs that became empty: as many, ... */
#define EPOCH_SLABS 4	   /* ... and each slab as often, so that use may go up and down within */

#define REDZONE	     0xbb
#define POISON_FREE  0x6b
#define POISON_ALLOC 0x5a

__nonsensitive uint64_t slab_key;

void slab_seed(uint64_t random)
{
	slab_key = random;
}

/* As many objects as @run bytes hold with a head in front. Returns the bytes used. */
static uint32_t fit(struct slab_cache *cache, uint32_t run)
{
	for (cache->per_slab = run / cache->stride; cache->per_slab; cache->per_slab--) {
		uint64_t head =
			sizeof(struct slab) + slab_nr_words(cache) * sizeof(struct slab_word);
		uint32_t used;

		cache->head_size = ALIGN_UP(head, cache->align);
		used = (uint32_t)cache->head_size + cache->per_slab * cache->stride;
		if (used <= run)
			return used;
	}
	return run;
}

/* Of an odd number, modulo 2^64: the start is right in three bits, and each step doubles them. */
static uint64_t inverse(uint64_t odd)
{
	uint64_t x = odd;

	for (unsigned int bits = 3; bits < 64; bits *= 2)
		x *= 2 - odd * x;
	return x;
}

/* The smallest order that wastes at most an eighth and holds some objects. */
void slab_geometry(struct slab_cache *cache)
{
	cache->shift = bit_lowest(cache->stride);
	cache->inverse = inverse(cache->stride >> cache->shift);
	for (cache->order = 0;; cache->order++) {
		uint32_t run = (uint32_t)PAGE_SIZE << cache->order, used = fit(cache, run);

		cache->run_mask = run - 1;
		cache->colours = (run - used) / LINE + 1;
		if (run - cache->per_slab * cache->stride <= run / 8 &&
		    (cache->per_slab >= PER_SLAB_MIN || cache->order >= SMALL_ORDER ||
		     cache->stride > SMALL))
			break;
		if (cache->order == ORDER_MAX)
			break;
	}
}

struct slab *slab_create(struct slab_cache *cache)
{
	uint8_t *run = page_alloc(cache->order, cache->class, cache->owner);
	struct page *page;
	struct slab *slab;

	if (!run)
		return NULL;
	page = pfn_to_page(hpa_to_pfn(hva_to_hpa(run)));
	/* Heads at different offsets in their runs: at one, they would compete for cache lines. */
	page->slab = (uint32_t)((page_to_pfn(page) >> cache->order) % cache->colours * LINE);
	slab = (struct slab *)(run + page->slab);
	slab->owner = &cache->shared;
	list_init(&slab->link);
	list_init(&slab->all);
	for (uint32_t i = 0; i < slab_nr_words(cache); i++)
		slab->words[i] = (struct slab_word){ .free = slab_word_all(cache, i),
						     .remote = ~slab_word_all(cache, i) };
	for (uint32_t nr = 0; DEBUG && nr < cache->per_slab; nr++) {
		uint8_t *object = slab_object(cache, slab, nr);

		rep_stosb(object, POISON_FREE, cache->size);
		rep_stosb(object + cache->size, REDZONE, cache->stride - cache->size);
	}
	slab->tag = slab_tag(cache, slab);
	page->state = PAGE_SLAB;
	return slab;
}

static void slab_destroy(struct slab *slab, unsigned int order)
{
	struct page *page = page_head(pfn_to_page(hpa_to_pfn(hva_to_hpa(slab))));

	slab->tag = 0;
	page->slab = 0;
	page->state = PAGE_USED;
	page_free(page_hva(page), order);
}

uint64_t slab_destroy_all(struct list *slabs)
{
	uint64_t nr = 0;

	while (!list_empty(slabs)) {
		struct slab *slab = list_entry(slabs->next, struct slab, link);
		unsigned int order = slab_tag_cache(slab)->order;

		list_del(&slab->link);
		slab_destroy(slab, order);
		nr += 1UL << order;
	}
	return nr;
}

static uint64_t live_objects(const struct slab_cache *cache, const struct slab *slab)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < slab_nr_words(cache); i++)
		nr += bits_count(~(__atomic_load_n(&slab->words[i].free, __ATOMIC_RELAXED) |
				   slab->words[i].remote));
	return nr;
}

uint64_t slab_cache_live(struct slab_cache *cache)
{
	uint64_t flags = spin_lock(&cache->lock), live = 0;
	const struct list *p;

	list_for_each (p, &cache->slabs)
		live += live_objects(cache, list_entry(p, struct slab, all));
	spin_unlock(&cache->lock, flags);
	return live;
}

static void check_tag(const struct slab_cache *cache, const struct slab *slab)
{
	if (unlikely(slab->tag != slab_tag(cache, slab)))
		panic("slab %s: a list is corrupted: no slab of this cache is at %p", cache->name,
		      slab);
}

/* @word of @slab has the bits @all for objects. */
static void check_word(const struct slab_cache *cache, const struct slab *slab,
		       const struct slab_word *word, uint64_t all)
{
	if (unlikely((word->free & word->remote) || ~(word->remote | all)))
		panic("slab %s: the free map of the slab at %p is corrupted", cache->name, slab);
}

static void check(const struct slab_cache *cache, const struct slab *slab)
{
	check_tag(cache, slab);
	for (uint32_t i = 0; i < slab_nr_words(cache); i++)
		check_word(cache, slab, &slab->words[i], slab_word_all(cache, i));
}

void slab_release(struct slab_cache *cache, uint64_t keep, struct list *out)
{
	while (cache->nr_empty > keep) {
		struct slab *slab = list_entry(cache->empty.prev, struct slab, link);

		check(cache, slab);
		list_del(&slab->all);
		list_del(&slab->link);
		list_add(out, &slab->link);
		cache->nr_slabs--;
		cache->nr_empty--;
		cache->nr_released++;
	}
	cache->min_empty = MIN(cache->min_empty, cache->nr_empty);
}

void slab_retire(struct slab_cache *cache, struct slab *slab, struct list *out)
{
	list_del(&slab->link);
	list_add(&cache->empty, &slab->link);
	cache->nr_empty++;
	if (++cache->epoch >= EPOCH + EPOCH_SLABS * cache->nr_slabs) {
		cache->keep -= MIN(cache->min_empty, cache->keep - 1);
		cache->min_empty = cache->nr_empty;
		cache->epoch = 0;
	}
	slab_release(cache, cache->keep, out);
}

void slab_add(struct slab_cache *cache, struct slab *slab)
{
	list_add(&cache->slabs, &slab->all);
	list_add(&cache->empty, &slab->link);
	cache->nr_slabs++;
	cache->nr_empty++;
	if (cache->nr_released) {
		cache->nr_released--;
		if (cache->keep < KEEP_BYTES >> (PAGE_SHIFT + cache->order))
			cache->keep++;
	}
}

static bool is_live(const struct slab_cache *cache, const struct slab *slab, uint64_t word)
{
	return slab->words[word].free != slab_word_all(cache, word);
}

bool slab_live_beside(const struct slab_cache *cache, const struct slab *slab, uint64_t word)
{
	uint64_t nr = slab_nr_words(cache);
	uint64_t next = word + 1 < nr ? word + 1 : 0, last = (word ? word : nr) - 1;

	return next != word && (is_live(cache, slab, next) || is_live(cache, slab, last));
}

bool slab_is_empty(const struct slab_cache *cache, const struct slab *slab)
{
	for (uint32_t i = 0; i < slab_nr_words(cache); i++)
		if (is_live(cache, slab, i))
			return false;
	return true;
}

void slab_collect(const struct slab_cache *cache, struct slab *slab)
{
	uint32_t nr = slab_nr_words(cache);

	check_tag(cache, slab);
	for (uint32_t i = 0; i < nr; i++) {
		struct slab_word *word = &slab->words[i];
		uint64_t all = slab_word_all(cache, i), freed = word->remote & all;

		check_word(cache, slab, word, all);
		if (!freed)
			continue;
		__atomic_store_n(&word->free, word->free | freed, __ATOMIC_RELAXED);
		__atomic_store_n(&word->remote, ~all, __ATOMIC_RELAXED);
	}
}

void slab_check_none_live(const struct slab_cache *cache, const void *caller)
{
	const void *object[SAID_MAX] = { NULL };
	const struct list *p;
	uint64_t nr = 0;

	list_for_each (p, &cache->slabs) {
		const struct slab *slab = list_entry(p, struct slab, all);

		for (uint32_t i = 0; i < cache->per_slab; i++) {
			const struct slab_word *word = &slab->words[i / SLAB_WORD_BITS];

			if ((word->free | word->remote) & BIT(i % SLAB_WORD_BITS))
				continue;
			if (nr++ < SAID_MAX)
				object[nr - 1] = slab_object(cache, slab, i);
		}
	}
	if (nr)
		panic("slab %s: destroyed with %lu live object%s: %p %p %p%s; called from %p",
		      cache->name, nr, nr == 1 ? "" : "s", object[0], object[1], object[2],
		      nr > SAID_MAX ? " ..." : "", caller);
}

struct slab_cache *slab_cache_of(const void *hva)
{
	const struct page *page;

	if (!hva_is_ram(hva) || !memmap_is_ram(hva_to_hpa(hva).v, 1))
		return NULL;
	page = page_head(pfn_to_page(hpa_to_pfn(hva_to_hpa(hva))));
	if (page->state != PAGE_SLAB)
		return NULL;
	return slab_tag_cache((const struct slab *)((uint64_t)page_hva(page) + page->slab));
}

void slab_bad_free(const struct slab_cache *cache, const void *object, const void *caller)
{
	const char *why = "which is not of this cache";
	uint64_t nr;

	if (!hva_is_ram(object))
		why = "which is not RAM";
	else if (slab_of(cache, object, &nr))
		why = "which is free: double free";
	else if (slab_cache_of(object) == cache)
		why = (uint64_t)object - cache->window < RAM_WINDOW_SIZE
			      ? "which is not where an object starts"
			      : "which is the wrong alias";
	panic("slab %s: free of %p, %s; called from %p", cache->name, object, why, caller);
}

static bool is_filled(const uint8_t *p, uint8_t byte, uint64_t len)
{
	while (len && *p == byte) {
		p++;
		len--;
	}
	return len == 0;
}

static void check_redzone(const struct slab_cache *cache, const uint8_t *object, const void *caller)
{
	if (!is_filled(object + cache->size, REDZONE, cache->stride - cache->size))
		panic("slab %s: overflow: what follows %p is overwritten; called from %p",
		      cache->name, object, caller);
}

void slab_debug_alloc(const struct slab_cache *cache, uint8_t *object, const void *caller)
{
	check_redzone(cache, object, caller);
	if (!is_filled(object, POISON_FREE, cache->size))
		panic("slab %s: use after free: %p was written while free; called from %p",
		      cache->name, object, caller);
	rep_stosb(object, POISON_ALLOC, cache->size);
}

void slab_debug_free(const struct slab_cache *cache, uint8_t *object, const void *caller)
{
	check_redzone(cache, object, caller);
	rep_stosb(object, POISON_FREE, cache->size);
}
