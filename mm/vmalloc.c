/* SPDX-License-Identifier: MIT */
/*
 * Areas of virtually contiguous memory: which addresses are taken, and by which
 * frames. The mapping itself is mm/hostmap.c. An area's descriptor lies in pages of
 * the area's own class, so a restricted space can walk the trees it may see.
 *
 *	vmalloc -> AREA_LIVE --vfree--> AREA_LAZY --purge--> AREA_PURGING -> unmapped, flushed, freed
 */
#include "mm/vmalloc.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/spinlock.h"
#include "lib/bitops.h"
#include "lib/panic.h"
#include "mm/buddy.h"
#include "mm/page.h"
#include "mm/quarantine.h"
#include "mm/vmarea.h"

/* The areas of one class, and for LOCAL of one owner. 32 bits count the pages of a range easily. */
struct vm_range {
	const struct mem_owner *owner; /* of LOCAL areas, once there was one */
	struct vm_area *tree;
	struct vm_area *batch; /* AREA_LAZY ones, by next_lazy */
	uint32_t batch_areas, batch_pages;
	uint32_t areas, pages; /* live */
	uint32_t lazy_areas,
		lazy_pages; /* freed and not given back: the batch, and what is purged now */
	uint32_t flushes, max_pages;
};

#define NR_RANGES (LOCAL + OWNER_MAX + 1)

static __nonsensitive struct spinlock vm_lock = SPINLOCK(LOCK_VMALLOC);
static __nonsensitive struct vm_range vm_ranges[NR_RANGES]; /* SENSITIVE, GLOBAL, LOCAL + owner */

static struct vm_range *range_of(enum mem_class class, const struct mem_owner *owner)
{
	return &vm_ranges[class + (owner ? owner->id : 0)];
}

static enum mem_class range_class(const struct vm_range *range)
{
	return (enum mem_class)MIN(range - vm_ranges, LOCAL);
}

static uint64_t range_base(const struct vm_range *range)
{
	switch (range - vm_ranges) {
	case SENSITIVE:
		return VMALLOC_SENSITIVE_BASE;
	case GLOBAL:
		return VMALLOC_GLOBAL_BASE;
	default:
		return VMALLOC_LOCAL_BASE +
		       (uint64_t)(range - &vm_ranges[LOCAL]) * VMALLOC_LOCAL_SIZE;
	}
}

static uint64_t range_size(const struct vm_range *range)
{
	/* What follows an owner's areas is its access window. */
	return range >= &vm_ranges[LOCAL] ? VMALLOC_LOCAL_SIZE - WINDOW_SIZE : PML4_SLOT_SIZE;
}

/* The range that @hva lies in, NULL if there is none. */
static struct vm_range *range_around(uint64_t hva)
{
	if (hva - VMALLOC_SENSITIVE_BASE < PML4_SLOT_SIZE)
		return &vm_ranges[SENSITIVE];
	if (hva - VMALLOC_GLOBAL_BASE < PML4_SLOT_SIZE)
		return &vm_ranges[GLOBAL];
	if (hva - VMALLOC_LOCAL_BASE < (OWNER_MAX + 1) * VMALLOC_LOCAL_SIZE)
		return &vm_ranges[LOCAL + (hva - VMALLOC_LOCAL_BASE) / VMALLOC_LOCAL_SIZE];
	return NULL;
}

/* First fit. A page stays free between neighbours and at both ends of the range. */
static bool area_insert(struct vm_area *area, struct vm_range *range, const struct mem_owner *owner)
{
	uint64_t bytes = (area->nr_pages + 1) * PAGE_SIZE, flags = spin_lock(&vm_lock);
	uint64_t first = range_base(range) + PAGE_SIZE, all;
	bool fits;

	area->start = vm_tree_first_fit(range->tree, first, bytes);
	fits = area->start - range_base(range) + bytes <= range_size(range);
	if (fits) {
		vm_tree_insert(&range->tree, area);
		if (range->owner != owner) /* purge() reads it without the lock */
			range->owner = owner;
		range->areas++;
		range->pages += (uint32_t)area->nr_pages;
		all = range->pages + range->lazy_pages;
		range->max_pages = (uint32_t)MAX(range->max_pages, all);
	}
	spin_unlock(&vm_lock, flags);
	return fits;
}

/* Takes back an insertion. */
static void area_remove(struct vm_area *area, struct vm_range *range)
{
	uint64_t flags = spin_lock(&vm_lock);

	vm_tree_remove(&range->tree, area);
	range->areas--;
	range->pages -= (uint32_t)area->nr_pages;
	spin_unlock(&vm_lock, flags);
}

/* The address of a frame of an area, as the page allocator knows it. */
static void *frame_hva(hpa_t frame)
{
	return page_hva(pfn_to_page(hpa_to_pfn(frame)));
}

/* Frees what the area, which is in no tree, holds so far, and the descriptor. */
static void area_free(struct vm_area *area)
{
	for (size_t i = 0; i < area->nr_pages; i++)
		page_free(frame_hva(area->frames[i]), 0);
	page_free(area, area->order);
}

/* A descriptor with all its frames, or NULL. */
static struct vm_area *area_create(size_t nr_pages, enum mem_class class, struct mem_owner *owner)
{
	size_t size = sizeof(struct vm_area) + nr_pages * sizeof(hpa_t);
	unsigned int order = 0;
	struct vm_area *area;

	while (PAGE_SIZE << order < size)
		order++;
	area = order <= PAGE_ORDER_MAX ? page_alloc(order, class, owner) : NULL;
	if (!area)
		return NULL;
	*area = (struct vm_area){ .order = order };
	for (; area->nr_pages < nr_pages; area->nr_pages++) {
		void *page = page_zalloc(0, class, owner);

		if (!page) {
			area_free(area);
			return NULL;
		}
		area->frames[area->nr_pages] = hva_to_hpa(page);
	}
	return area;
}

static void *area_make(size_t nr_pages, enum mem_class class, struct mem_owner *owner)
{
	struct vm_range *range = range_of(class, owner);
	struct vm_area *area = area_create(nr_pages, class, owner);

	if (!area)
		return NULL;
	if (!area_insert(area, range, owner)) {
		area_free(area);
		return NULL;
	}
	if (hostmap_vmap((void *)area->start, area->frames, area->nr_pages)) {
		area_remove(area, range);
		area_free(area);
		return NULL;
	}
	return (void *)area->start;
}

void *vmalloc(size_t len, enum mem_class class, struct mem_owner *owner)
{
	size_t nr_pages;
	void *hva;

	if (!len || class >= MEM_CLASS_NR || (class == LOCAL) != (owner != NULL))
		panic("vmalloc of %lu bytes, class %u, owner %u, called from 0x%lx: no such memory",
		      len, class, owner ? owner->id : 0, (uint64_t)__builtin_return_address(0));
	if (len > range_size(range_of(class, owner)))
		return NULL;
	nr_pages = DIV_ROUND_UP(len, PAGE_SIZE);
	hva = area_make(nr_pages, class, owner);
	/* Memory or addresses may be there yet, kept aside. */
	if (!hva && vmalloc_flush())
		hva = area_make(nr_pages, class, owner);
	return hva;
}

/* Takes the batch of @range; NULL if it has none. The lock is held. */
static struct vm_area *batch_take(struct vm_range *range)
{
	struct vm_area *list = range->batch;

	for (struct vm_area *area = list; area; area = area->next_lazy)
		area->state = AREA_PURGING;
	range->batch = NULL;
	range->batch_areas = range->batch_pages = 0;
	range->flushes += list != NULL;
	return list;
}

/*
 * Gives the areas of a batch of @range back: unmaps all, flushes once, and only then frees. Returns the pages. One range
 * at a time, so that only those CPUs are disturbed that may see it. What of @range is being purged keeps it as it is.
 */
static uint64_t purge(struct vm_range *range, struct vm_area *list)
{
	uint64_t pages = 0;

	if (!list)
		return 0;
	for (struct vm_area *area = list; area; area = area->next_lazy) {
		hostmap_vunmap((void *)area->start, area->nr_pages);
		pages += area->nr_pages;
	}
	unmap_flush(range_class(range), range->owner, pages);
	while (list) {
		struct vm_area *area = list;
		uint32_t nr_pages = (uint32_t)area->nr_pages;
		uint64_t flags = spin_lock(&vm_lock);

		list = area->next_lazy;
		vm_tree_remove(&range->tree, area);
		spin_unlock(&vm_lock, flags);
		area_free(area);

		/* Last: who waits for an owner's end sees zero when the pages are back. */
		flags = spin_lock(&vm_lock);
		range->lazy_areas--;
		range->lazy_pages -= nr_pages;
		spin_unlock(&vm_lock, flags);
	}
	return pages;
}

/* The area that starts at @hva, now freed; NULL and why in *@wrong if there is none to free. */
static struct vm_area *area_retire(struct vm_range *range, uint64_t hva, const char **wrong)
{
	struct vm_area *area = range ? vm_tree_at_or_below(range->tree, hva) : NULL;

	if (!area || area->start != hva) {
		*wrong = "not the start of an area";
		return NULL;
	}
	if (area->state != AREA_LIVE) {
		*wrong = "freed already";
		return NULL;
	}
	area->state = AREA_LAZY;
	area->next_lazy = range->batch;
	range->batch = area;
	range->batch_areas++;
	range->batch_pages += (uint32_t)area->nr_pages;
	range->areas--;
	range->pages -= (uint32_t)area->nr_pages;
	range->lazy_areas++;
	range->lazy_pages += (uint32_t)area->nr_pages;
	return area;
}

void vfree(void *hva)
{
	struct vm_range *range = range_around((uint64_t)hva);
	struct vm_area *list = NULL;
	const char *wrong = NULL;
	uint64_t flags;

	if (!hva)
		return;
	flags = spin_lock(&vm_lock);
	if (area_retire(range, (uint64_t)hva, &wrong) &&
	    (range->batch_areas >= VMALLOC_LAZY_AREAS || range->batch_pages >= VMALLOC_LAZY_PAGES))
		list = batch_take(range);
	spin_unlock(&vm_lock, flags);
	if (wrong)
		panic("vfree of 0x%lx, called from 0x%lx: %s", (uint64_t)hva,
		      (uint64_t)__builtin_return_address(0), wrong);
	purge(range, list);
}

uint64_t vmalloc_flush(void)
{
	uint64_t pages = 0;

	for (unsigned int i = 0; i < NR_RANGES; i++) {
		uint64_t flags = spin_lock(&vm_lock);
		struct vm_area *list = batch_take(&vm_ranges[i]);

		spin_unlock(&vm_lock, flags);
		pages += purge(&vm_ranges[i], list);
	}
	return pages;
}

/* Starts @range anew if nothing of it is kept aside any more; *@live is an area that was not freed. */
static bool range_end(struct vm_range *range, const struct vm_area **live)
{
	uint64_t flags = spin_lock(&vm_lock);
	bool quiet = !range->lazy_areas;

	*live = range->tree;
	if (quiet && !*live)
		*range = (struct vm_range){ 0 };
	spin_unlock(&vm_lock, flags);
	return quiet;
}

void vmalloc_owner_end(struct mem_owner *owner)
{
	struct vm_range *range = range_of(LOCAL, owner);
	uint64_t flags = spin_lock(&vm_lock);
	struct vm_area *list = batch_take(range);
	const struct vm_area *live;

	spin_unlock(&vm_lock, flags);
	purge(range, list);
	while (!range_end(range, &live)) { /* another CPU gives them back right now */
		cpu_serve();
		cpu_pause();
	}
	if (live)
		panic("owner %u ends, called from 0x%lx: area 0x%lx of %lu pages is still there",
		      owner->id, (uint64_t)__builtin_return_address(0), live->start,
		      live->nr_pages);
}

static bool is_live(const struct vm_area *area)
{
	return area && area->state == AREA_LIVE;
}

bool vmalloc_area_of(const void *hva, void **start, size_t *len)
{
	struct vm_range *range = range_around((uint64_t)hva);
	struct vm_area *area, *above;
	uint64_t flags;

	if (!range)
		return false;
	flags = spin_lock(&vm_lock);
	area = vm_tree_at_or_below(range->tree, (uint64_t)hva);
	above = vm_tree_above(range->tree, (uint64_t)hva);
	if (area && (uint64_t)hva >= vm_area_guard_end(area))
		area = NULL;
	/* A guard page between two areas goes to the upper one: stacks grow down into it. */
	if ((!area || (uint64_t)hva >= vm_area_end(area)) && is_live(above) &&
	    above->start - (uint64_t)hva <= PAGE_SIZE)
		area = above;
	if (!is_live(area))
		area = NULL;
	if (area) {
		*start = (void *)area->start;
		*len = area->nr_pages * PAGE_SIZE;
	}
	spin_unlock(&vm_lock, flags);
	return area;
}

hpa_t vmalloc_frame(uint64_t hva)
{
	struct vm_range *range = range_around(hva);
	hpa_t frame = HPA_NONE;
	struct vm_area *area;
	uint64_t flags;

	if (!range)
		return frame;
	flags = spin_lock(&vm_lock);
	area = vm_tree_at_or_below(range->tree, hva);
	if (area && hva < vm_area_end(area))
		frame = area->frames[(hva - area->start) / PAGE_SIZE];
	spin_unlock(&vm_lock, flags);
	return frame;
}

void vmalloc_get_stats(enum mem_class class, const struct mem_owner *owner,
		       struct vmalloc_stats *out)
{
	const struct vm_range *range = range_of(class, owner);
	uint64_t flags = spin_lock(&vm_lock);

	*out = (struct vmalloc_stats){
		.areas = range->areas,
		.pages = range->pages,
		.lazy_areas = range->lazy_areas,
		.lazy_pages = range->lazy_pages,
		.flushes = range->flushes,
		.max_pages = range->max_pages,
	};
	spin_unlock(&vm_lock, flags);
}
