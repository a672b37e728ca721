/* SPDX-License-Identifier: MIT */
/*
 * Areas of virtually contiguous memory: which addresses are taken, and by which
 * frames. The mapping itself is mm/hostmap.c. An area's descriptor lies in pages of
 * the area's own class, so a restricted space can walk the lists it may see.
 */
#include "mm/vmalloc.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/buddy.h"
#include "mm/page.h"

struct vm_area {
	struct vm_area *next; /* the next higher one */
	uint64_t start;
	size_t nr_pages;
	unsigned int order; /* of this descriptor */
	bool unmapping;	    /* the addresses stay taken until no CPU can reach them */
	hpa_t frames[];
};

/* The addresses of one class, and for LOCAL of one owner. */
struct vm_range {
	uint64_t base, size;
	struct vm_area **areas; /* sorted by address */
};

static __nonsensitive struct spinlock vm_lock;
static __nonsensitive struct vm_area *vm_areas[LOCAL + OWNER_MAX + 1];

static struct vm_range range_of(enum mem_class class, uint16_t owner_id)
{
	switch (class) {
	case GLOBAL:
		return (struct vm_range){ VMALLOC_GLOBAL_BASE, PML4_SLOT_SIZE, &vm_areas[GLOBAL] };
	case LOCAL:
		return (struct vm_range){ VMALLOC_LOCAL_BASE + owner_id * VMALLOC_LOCAL_SIZE,
					  VMALLOC_LOCAL_SIZE, &vm_areas[LOCAL + owner_id] };
	default:
		return (struct vm_range){ VMALLOC_SENSITIVE_BASE, PML4_SLOT_SIZE,
					  &vm_areas[SENSITIVE] };
	}
}

/* The range that @hva lies in; its list is NULL if there is none. */
static struct vm_range range_around(uint64_t hva)
{
	if (hva - VMALLOC_SENSITIVE_BASE < PML4_SLOT_SIZE)
		return range_of(SENSITIVE, 0);
	if (hva - VMALLOC_GLOBAL_BASE < PML4_SLOT_SIZE)
		return range_of(GLOBAL, 0);
	if (hva - VMALLOC_LOCAL_BASE < PML4_SLOT_SIZE)
		return range_of(LOCAL, (uint16_t)((hva - VMALLOC_LOCAL_BASE) / VMALLOC_LOCAL_SIZE));
	return (struct vm_range){ 0 };
}

static uint64_t area_end(const struct vm_area *area)
{
	return area->start + area->nr_pages * PAGE_SIZE;
}

/* First fit. A page stays free between neighbours and at both ends of the range. */
static bool area_insert(struct vm_area *area, struct vm_range range)
{
	uint64_t bytes = area->nr_pages * PAGE_SIZE, flags;
	struct vm_area **at = range.areas;
	bool fits;

	area->start = range.base + PAGE_SIZE;
	flags = spin_lock(&vm_lock);
	while (*at && (*at)->start - area->start < bytes + PAGE_SIZE) {
		area->start = area_end(*at) + PAGE_SIZE;
		at = &(*at)->next;
	}
	fits = area_end(area) + PAGE_SIZE <= range.base + range.size;
	if (fits) {
		area->next = *at;
		*at = area;
	}
	spin_unlock(&vm_lock, flags);
	return fits;
}

static void area_remove(struct vm_area *area)
{
	struct vm_area **at = range_around(area->start).areas;
	uint64_t flags = spin_lock(&vm_lock);

	while (*at != area)
		at = &(*at)->next;
	*at = area->next;
	spin_unlock(&vm_lock, flags);
}

/* The address of a frame of an area, as the page allocator knows it. */
static void *frame_hva(hpa_t frame)
{
	return page_hva(pfn_to_page(hpa_to_pfn(frame)));
}

/* Frees what the area, which is on no list, holds so far, and the descriptor. */
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

void *vmalloc(size_t len, enum mem_class class, struct mem_owner *owner)
{
	struct vm_range range = range_of(class, owner ? owner->id : 0);
	struct vm_area *area;

	ASSERT(len && (class == LOCAL) == (owner != NULL));
	if (len > range.size)
		return NULL;
	area = area_create(DIV_ROUND_UP(len, PAGE_SIZE), class, owner);
	if (!area)
		return NULL;
	if (!area_insert(area, range)) {
		area_free(area);
		return NULL;
	}
	if (hostmap_vmap((void *)area->start, area->frames, area->nr_pages)) {
		area_remove(area);
		area_free(area);
		return NULL;
	}
	return (void *)area->start;
}

void vfree(void *hva)
{
	struct vm_range range = range_around((uint64_t)hva);
	struct vm_area *area;
	uint64_t flags;

	if (!hva)
		return;
	ASSERT(range.areas);
	flags = spin_lock(&vm_lock);
	for (area = *range.areas; area && area->start != (uint64_t)hva;)
		area = area->next;
	ASSERT(area && !area->unmapping);
	area->unmapping = true;
	spin_unlock(&vm_lock, flags);

	hostmap_vunmap(hva, area->nr_pages);
	area_remove(area);
	area_free(area);
}

bool vmalloc_area_of(const void *hva, void **start, size_t *len)
{
	struct vm_range range = range_around((uint64_t)hva);
	struct vm_area *area = NULL, *below = NULL;
	uint64_t flags = spin_lock(&vm_lock);

	if (range.areas)
		area = *range.areas;
	while (area && (uint64_t)hva >= area_end(area)) {
		below = area;
		area = area->next;
	}
	/* A guard page between two areas goes to the upper one: stacks grow down into it. */
	if (!area || (uint64_t)hva < area->start - PAGE_SIZE)
		area = below && (uint64_t)hva < area_end(below) + PAGE_SIZE ? below : NULL;
	if (area) {
		*start = (void *)area->start;
		*len = area->nr_pages * PAGE_SIZE;
	}
	spin_unlock(&vm_lock, flags);
	return area;
}
