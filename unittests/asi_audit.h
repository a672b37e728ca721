/* SPDX-License-Identifier: MIT */
/* What tests of the audit share: a whole block of each kind to plant things in. */
#pragma once
#include "unittests/asi_map.h"
#include "mm/page.h"

static struct asi *d; /* the domain that things are planted in */
static void *local, *global, *sensitive, *foreign;

static inline int take_pages(void **state)
{
	map_setup(state);
	d = vms[0];
	local = page_alloc(PAGEBLOCK_ORDER, LOCAL, &fake_owners[0]);
	foreign = page_alloc(PAGEBLOCK_ORDER, LOCAL, &fake_owners[1]);
	global = page_alloc(PAGEBLOCK_ORDER, GLOBAL, NULL);
	sensitive = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);
	return local && foreign && global && sensitive ? 0 : -1;
}

static inline int give_pages(void **state)
{
	page_free(local, PAGEBLOCK_ORDER);
	page_free(foreign, PAGEBLOCK_ORDER);
	page_free(global, PAGEBLOCK_ORDER);
	page_free(sensitive, PAGEBLOCK_ORDER);
	return map_teardown(state);
}

static inline uint64_t hpa(const void *hva)
{
	return hva_to_hpa(hva).v;
}

static inline struct pageblock *block_of(const void *hva)
{
	return pfn_to_pageblock(hpa(hva) >> PAGE_SHIFT);
}
