/* SPDX-License-Identifier: MIT */
/* What an address is, in words, for records of crossings and violations. */
#include "arch/percpu.h"
#include "asi/crossing.h"
#include "lib/fmt.h"
#include "lib/symbol.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

static const char *const classes[MEM_CLASS_NR] = {
	[SENSITIVE] = "sensitive",
	[GLOBAL] = "global",
	[LOCAL] = "local",
};

/* Of the head of a run: a tail without one is not the buddy's. */
static const char *const states[] = {
	[PAGE_TAIL] = "reserved", [PAGE_FREE] = "free",	  [PAGE_USED] = "used",
	[PAGE_SLAB] = "slab",	  [PAGE_CACHED] = "free", [PAGE_DEFERRED] = "deferred",
};

/* @what and, of the image or a per-CPU template, the symbol at @va. */
static bool describe_symbol(const char *what, uint64_t va, char *buf, size_t size)
{
	uint64_t offset;
	const char *name = symbol_lookup(va, &offset);

	if (name)
		fmt_print(buf, size, "%s %s+0x%lx", what, name, offset);
	return name != NULL;
}

static bool describe_area(uint64_t va, char *buf, size_t size)
{
	void *start;
	size_t len;

	if (!vmalloc_area_of((const void *)va, &start, &len))
		return false;
	fmt_print(buf, size, "vmalloc area 0x%lx of %lu bytes, at %ld", (uint64_t)start, len,
		  (int64_t)(va - (uint64_t)start));
	return true;
}

/* A page of RAM, by its address in the direct map or the local window. */
static bool describe_page(uint64_t va, char *buf, size_t size)
{
	const struct slab_cache *cache = slab_cache_of((const void *)va);
	const struct pageblock *block;
	const struct page *page;
	hpa_t hpa;

	if (cache) {
		fmt_print(buf, size, "slab %s", cache->name);
		return true;
	}
	if (!hva_is_ram((const void *)va))
		return false;
	hpa = hva_to_hpa((const void *)va);
	if (!memmap_is_ram(hpa.v, 1))
		return false;
	block = pfn_to_pageblock(hpa_to_pfn(hpa));
	page = page_head(pfn_to_page(hpa_to_pfn(hpa)));
	fmt_print(buf, size, "%s page, %s, order %u, owner %u", classes[block->class],
		  states[page->state], page->order, block->owner ? block->owner->id : 0);
	return true;
}

void asi_describe(uint64_t va, char *buf, size_t size)
{
	uint64_t template = percpu_template(va);

	if (template && describe_symbol("per-CPU", template, buf, size))
		return;
	if (describe_symbol("static", va, buf, size) || describe_area(va, buf, size) ||
	    describe_page(va, buf, size))
		return;
	fmt_print(buf, size, "%s", hostmap_region(va));
}
