/* SPDX-License-Identifier: MIT */
/* What an address is, in words, for records of crossings and violations; and how much else is shown if it is. */
#include "arch/cpus.h"
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

/* Each writes what it knows of @va to @buf and returns the bytes that have one class with it; 0: not its kind. */

/* @what and, of the image or a per-CPU template, the symbol at @va. */
static uint64_t describe_symbol(const char *what, uint64_t va, char *buf, size_t size)
{
	struct symbol s;

	if (!symbol_holding(va, &s))
		return 0;
	fmt_print(buf, size, "%s %s+0x%lx", what, s.name, va - s.addr);
	return s.len;
}

static uint64_t describe_area(uint64_t va, char *buf, size_t size)
{
	void *start;
	size_t len;

	if (!vmalloc_area_of((const void *)va, &start, &len))
		return 0;
	fmt_print(buf, size, "vmalloc area 0x%lx of %lu bytes, at %ld", (uint64_t)start, len,
		  (int64_t)(va - (uint64_t)start));
	return len;
}

/* A page of RAM, by its address in the direct map or the local window. */
static uint64_t describe_page(uint64_t va, char *buf, size_t size)
{
	const struct slab_cache *cache = slab_cache_of((const void *)va);
	const struct pageblock *block;
	const struct page *page;
	hpa_t hpa;

	if (cache) {
		fmt_print(buf, size, "slab %s", cache->name);
		return READ_ONCE(cache->nr_slabs) * (PAGE_SIZE << cache->order);
	}
	if (!hva_is_ram((const void *)va))
		return 0;
	hpa = hva_to_hpa((const void *)va);
	if (!memmap_is_ram(hpa.v, 1))
		return 0;
	block = pfn_to_pageblock(hpa_to_pfn(hpa));
	page = page_head(pfn_to_page(hpa_to_pfn(hpa)));
	fmt_print(buf, size, "%s page, %s, order %u, owner %u", classes[block->class],
		  states[page->state], page->order, block->owner ? block->owner->id : 0);
	return PAGE_SIZE << page->order;
}

uint64_t asi_describe(uint64_t va, char *buf, size_t size)
{
	uint64_t template = percpu_template(va);
	uint64_t bytes = 0;

	if (template)
		bytes = describe_symbol("per-CPU", template, buf, size) * cpus_nr();
	if (!bytes)
		bytes = describe_symbol("static", va, buf, size);
	if (!bytes)
		bytes = describe_area(va, buf, size);
	if (!bytes)
		bytes = describe_page(va, buf, size);
	if (!bytes)
		fmt_print(buf, size, "%s", hostmap_region(va));
	return bytes;
}
