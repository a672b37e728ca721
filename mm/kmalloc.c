/* SPDX-License-Identifier: MIT */
/* Memory by size: which slab cache, or how many pages. */
#include "mm/kmalloc.h"
#include "arch/insn.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/pool.h"
#include "mm/slab_internal.h"

#define WHOLE_PAGES 1 /* struct page's @slab: a run that kmalloc handed out; no slab's offset */

static const struct {
	const char *name;
	uint32_t size;
} kinds[] = {
	{ "kmalloc-16", 16 },	    { "kmalloc-32", 32 },	{ "kmalloc-48", 48 },
	{ "kmalloc-64", 64 },	    { "kmalloc-96", 96 },	{ "kmalloc-128", 128 },
	{ "kmalloc-192", 192 },	    { "kmalloc-256", 256 },	{ "kmalloc-384", 384 },
	{ "kmalloc-512", 512 },	    { "kmalloc-768", 768 },	{ "kmalloc-1024", 1024 },
	{ "kmalloc-1536", 1536 },   { "kmalloc-2048", 2048 },	{ "kmalloc-3072", 3072 },
	{ "kmalloc-4096", 4096 },   { "kmalloc-6144", 6144 },	{ "kmalloc-8192", 8192 },
	{ "kmalloc-12288", 12288 }, { "kmalloc-16384", 16384 }, { "kmalloc-24576", 24576 },
	{ "kmalloc-32768", 32768 },
};

struct kmalloc_caches {
	struct slab_cache kinds[ARRAY_SIZE(kinds)];
};

static struct kmalloc_caches kmalloc_sensitive;
static __nonsensitive struct kmalloc_caches kmalloc_global;

/* Two kinds for each power of two: 32 < 48 <= 64 < 96 <= 128 ... */
static unsigned int kind_of(size_t size)
{
	unsigned int high;

	if (size <= 32)
		return size > 16;
	high = bit_highest(size - 1);
	return 2 * (high - 5) + (unsigned int)((size - 1) >> (high - 1) & 1) + 2;
}

static unsigned int order_of(size_t size)
{
	return size <= PAGE_SIZE ? 0 : bit_highest(size - 1) - PAGE_SHIFT + 1;
}

static void caches_init(struct kmalloc_caches *caches, enum mem_class class,
			struct mem_owner *owner)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t align = kinds[i].size & -kinds[i].size;

		slab_cache_init(&caches->kinds[i], kinds[i].name, kinds[i].size, MIN(align, 64),
				class, owner);
		caches->kinds[i].kmalloc = true;
	}
}

void kmalloc_init(void)
{
	caches_init(&kmalloc_sensitive, SENSITIVE, NULL);
	caches_init(&kmalloc_global, GLOBAL, NULL);
}

int kmalloc_create(struct mem_owner *owner)
{
	struct kmalloc_caches *caches;

	ASSERT(!owner->kmalloc);
	caches = page_alloc(order_of(sizeof(*caches)), LOCAL, owner);
	if (!caches)
		return -ENOMEM;
	caches_init(caches, LOCAL, owner);
	owner->kmalloc = caches;
	return 0;
}

void kmalloc_destroy(struct mem_owner *owner)
{
	if (!owner->kmalloc)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		slab_cache_destroy(&owner->kmalloc->kinds[i]);
	page_free(owner->kmalloc, order_of(sizeof(*owner->kmalloc)));
	owner->kmalloc = NULL;
}

static void *alloc_pages(size_t size, enum mem_class class, struct mem_owner *owner)
{
	void *hva = page_alloc(order_of(size), class, owner);

	if (hva)
		pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)))->slab = WHOLE_PAGES;
	return hva;
}

static struct kmalloc_caches *caches_of(size_t size, enum mem_class class, struct mem_owner *owner,
					const void *caller)
{
	struct kmalloc_caches *caches = class == SENSITIVE ? &kmalloc_sensitive : &kmalloc_global;

	if (class == LOCAL && owner)
		caches = owner->kmalloc;
	if (!size || size > PAGE_SIZE << PAGE_ORDER_MAX || class >= MEM_CLASS_NR || !caches ||
	    (class == LOCAL) != (owner != NULL))
		panic("kmalloc of %lu bytes, class %u, owner %u; called from %p", size, class,
		      owner ? owner->id : 0, caller);
	return caches;
}

void *kmalloc(size_t size, enum mem_class class, struct mem_owner *owner)
{
	struct kmalloc_caches *caches = caches_of(size, class, owner, __builtin_return_address(0));

	return size <= KMALLOC_SLAB_MAX ? slab_alloc(&caches->kinds[kind_of(size)])
					: alloc_pages(size, class, owner);
}

void *kzalloc(size_t size, enum mem_class class, struct mem_owner *owner)
{
	struct kmalloc_caches *caches = caches_of(size, class, owner, __builtin_return_address(0));
	void *hva;

	if (size <= KMALLOC_SLAB_MAX)
		return slab_zalloc(&caches->kinds[kind_of(size)]);
	hva = alloc_pages(size, class, owner);
	if (hva)
		clear_words(hva, PAGE_SIZE << order_of(size));
	return hva;
}

void kfree(void *hva)
{
	struct slab_cache *cache;
	struct page *page;

	if (!hva)
		return;
	if (!hva_is_ram(hva) || !buddy_manages(hva_to_hpa(hva)))
		panic("kfree of %p, which is not RAM; called from %p", hva,
		      __builtin_return_address(0));
	page = page_head(pfn_to_page(hpa_to_pfn(hva_to_hpa(hva))));
	if (page->state == PAGE_SLAB) {
		cache = slab_tag_cache((struct slab *)((uint64_t)page_hva(page) + page->slab));
		if (!cache->kmalloc)
			panic("kfree of %p, which is of slab %s; called from %p", hva, cache->name,
			      __builtin_return_address(0));
		slab_free(cache, hva);
		return;
	}
	if (page->state != PAGE_USED || page->slab != WHOLE_PAGES || page_hva(page) != hva)
		panic("kfree of %p, which kmalloc did not hand out, or which is free; called from "
		      "%p",
		      hva, __builtin_return_address(0));
	page->slab = 0;
	page_free(hva, page->order);
}
