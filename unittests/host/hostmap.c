/* SPDX-License-Identifier: MIT */
/* The vmalloc half of mm/hostmap.c for several threads: a flat table of frames for each range. */
#include "arch/layout.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/quarantine.h"
#include "mm/vmalloc.h"

#define RANGES	    (LOCAL + OWNER_MAX + 1)
#define RANGE_PAGES 4096 /* first fit keeps addresses low */

static uint64_t frames[RANGES][RANGE_PAGES]; /* hpa + 1, 0 if not mapped */

static uint64_t *slot_of(uint64_t va, size_t i)
{
	uint64_t local = va - VMALLOC_LOCAL_BASE;
	uint64_t owner = local / VMALLOC_LOCAL_SIZE, range, page;

	if (va >= VMALLOC_LOCAL_BASE && owner <= OWNER_MAX) {
		range = LOCAL + owner;
		page = local % VMALLOC_LOCAL_SIZE / PAGE_SIZE;
	} else {
		range = va >= VMALLOC_GLOBAL_BASE ? GLOBAL : SENSITIVE;
		page = va % PML4_SLOT_SIZE / PAGE_SIZE;
	}
	return range < RANGES && page + i < RANGE_PAGES ? &frames[range][page + i] : NULL;
}

int hostmap_vmap(void *hva, const hpa_t *frame, size_t nr_pages)
{
	if (!slot_of((uint64_t)hva, nr_pages - 1))
		return -ENOMEM;
	for (size_t i = 0; i < nr_pages; i++) {
		uint64_t *slot = slot_of((uint64_t)hva, i);

		ASSERT(!__atomic_exchange_n(slot, frame[i].v + 1, __ATOMIC_ACQ_REL));
	}
	return 0;
}

void hostmap_vunmap(void *hva, size_t nr_pages)
{
	for (size_t i = 0; i < nr_pages; i++)
		ASSERT(__atomic_exchange_n(slot_of((uint64_t)hva, i), 0, __ATOMIC_ACQ_REL));
}

void unmap_flush(enum mem_class class, const struct mem_owner *owner, uint64_t nr)
{
	ASSERT((class == LOCAL) == (owner != NULL) && nr);
}

hpa_t hostmap_vlookup(const void *hva)
{
	uint64_t *slot = slot_of((uint64_t)hva, 0);
	uint64_t frame = slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : 0;

	return frame ? HPA(frame - 1) : HPA_NONE;
}
