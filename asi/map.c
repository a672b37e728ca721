/* SPDX-License-Identifier: MIT */
/*
 * What the restricted spaces map. Provides pageblock_expose() and pageblock_hide(): one store for each
 * 2 MiB block into a page directory that exists since boot (GLOBAL) or since the domain was made
 * (LOCAL), so neither can fail or allocate.
 */
#include "asi/internal.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/quarantine.h"

struct ptable asi_global;
struct asi *asi_by_owner[OWNER_MAX + 1];

/* Slots that all restricted spaces share with the unrestricted one, tables and all. */
static const uint64_t host_slots[] = { PAGE_ARRAY_BASE, VMALLOC_GLOBAL_BASE, PERCPU_BASE,
				       DEVICE_BASE };

/* Page directories under @base for all RAM. */
static int prepare_ram(struct ptable *pt, uint64_t base)
{
	const struct memrange *r;
	int err = 0;

	for (unsigned int i = 0; !err && (r = memmap_ram(i)); i++)
		err = ptable_prepare(pt, base + r->start, r->end - r->start, 1);
	return err;
}

/* Whether any RAM lies in PML4 slot @i of a window: other slots have no tables. */
static bool slot_has_ram(unsigned int i)
{
	return i * PML4_SLOT_SIZE < memmap_ram_end();
}

static int map_image(struct ptable *pt)
{
	const struct image_window *w;
	int err = 0;

	for (unsigned int i = 0; !err && (w = hostmap_window(i)); i++) {
		uint64_t va = (uint64_t)w->start, len = (uint64_t)(w->end - w->start);

		if (!w->restricted || !len)
			continue;
		err = ptable_prepare(pt, va, len, 0);
		if (!err)
			ptable_map(pt, va, HPA(va - IMAGE_BASE), len, 0, w->prot);
	}
	return err;
}

int map_init(void)
{
	int err = ptable_init(&asi_global, &pt_host_format, SENSITIVE, NULL);

	if (!err)
		err = prepare_ram(&asi_global, DIRECTMAP_BASE);
	/* Slots in between without RAM need a table too, for domains to share. */
	for (unsigned int i = 0; !err && slot_has_ram(i); i++)
		err = ptable_prepare(&asi_global, DIRECTMAP_BASE + i * PML4_SLOT_SIZE, 1, 2);
	return err ? err : map_image(&asi_global);
}

/* The local vmalloc range of one owner is one entry of level 2: shared below it. */
static uint64_t vmalloc_local(const struct asi *asi)
{
	return VMALLOC_LOCAL_BASE + asi->owner->id * VMALLOC_LOCAL_SIZE;
}

static int map_self(struct asi *asi)
{
	int err;

	asi->self = page_zalloc(0, SENSITIVE, NULL);
	if (!asi->self)
		return -ENOMEM;
	asi->self->domain = asi->owner->id;
	err = ptable_prepare(&asi->pt, SELF_PAGE, PAGE_SIZE, 0);
	if (!err)
		ptable_map(&asi->pt, SELF_PAGE, hva_to_hpa(asi->self), PAGE_SIZE, 0, PROT_R);
	return err;
}

int map_create(struct asi *asi)
{
	struct ptable *host = hostmap_ptable();
	int err = ptable_init(&asi->pt, &pt_host_format, SENSITIVE, NULL);

	ASSERT(asi->owner->pool.nr_pages == 0);
	if (err)
		return err;
	asi->has_root = true;
	err = prepare_ram(&asi->pt, LOCALMAP_BASE);
	if (!err)
		err = map_self(asi);
	if (!err) /* the owner's local vmalloc tables live in the unrestricted tree, for good */
		err = ptable_prepare(host, vmalloc_local(asi), VMALLOC_LOCAL_SIZE, 1);
	if (!err)
		err = ptable_prepare(&asi->pt, vmalloc_local(asi), 1, 2);
	if (err)
		return err;

	for (unsigned int i = 0; slot_has_ram(i); i++)
		ptable_share(&asi->pt, DIRECTMAP_BASE + i * PML4_SLOT_SIZE, &asi_global,
			     DIRECTMAP_BASE + i * PML4_SLOT_SIZE, PT_LEVELS - 1);
	ptable_share(&asi->pt, IMAGE_BASE, &asi_global, IMAGE_BASE, PT_LEVELS - 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(host_slots); i++)
		ptable_share(&asi->pt, host_slots[i], host, host_slots[i], PT_LEVELS - 1);
	ptable_share(&asi->pt, vmalloc_local(asi), host, vmalloc_local(asi), 2);
	asi->shares = true;
	return 0;
}

void map_destroy(struct asi *asi)
{
	if (asi->shares) {
		for (unsigned int i = 0; slot_has_ram(i); i++)
			ptable_unshare(&asi->pt, DIRECTMAP_BASE + i * PML4_SLOT_SIZE,
				       PT_LEVELS - 1);
		ptable_unshare(&asi->pt, IMAGE_BASE, PT_LEVELS - 1);
		for (unsigned int i = 0; i < ARRAY_SIZE(host_slots); i++)
			ptable_unshare(&asi->pt, host_slots[i], PT_LEVELS - 1);
		ptable_unshare(&asi->pt, vmalloc_local(asi), 2);
	}
	if (asi->has_root)
		ptable_destroy(&asi->pt);
	if (asi->self)
		page_free(asi->self, 0);
}

const struct ptable *map_shares(unsigned int slot)
{
	unsigned int window = slot - (unsigned int)PML4_SLOT(DIRECTMAP_BASE);

	if (window < PHYS_SLOTS)
		return slot_has_ram(window) ? &asi_global : NULL;
	if (slot == PML4_SLOT(IMAGE_BASE))
		return &asi_global;
	for (unsigned int i = 0; i < ARRAY_SIZE(host_slots); i++)
		if (slot == PML4_SLOT(host_slots[i]))
			return hostmap_ptable();
	return NULL;
}

bool map_owns(unsigned int slot)
{
	if (slot - PML4_SLOT(LOCALMAP_BASE) < PHYS_SLOTS) {
		uint64_t first = (slot - PML4_SLOT(LOCALMAP_BASE)) * PML4_SLOT_SIZE;
		const struct memrange *r;

		for (unsigned int i = 0; (r = memmap_ram(i)); i++)
			if (ranges_overlap(first, PML4_SLOT_SIZE, r->start, r->end - r->start))
				return true;
		return false;
	}
	return slot == PML4_SLOT(SELF_PAGE) || slot == PML4_SLOT(VMALLOC_LOCAL_BASE);
}

/* The tables that show LOCAL blocks of @owner, NULL if no restricted space does. */
static struct ptable *local_tables(const struct mem_owner *owner)
{
	struct asi *asi = asi_by_owner[owner->id];

	return asi ? &asi->pt : NULL;
}

void pageblock_expose(hpa_t first, uint64_t nr_blocks, enum mem_class class,
		      struct mem_owner *owner)
{
	uint64_t len = nr_blocks * PAGEBLOCK_SIZE;
	struct ptable *local;

	ASSERT(class == GLOBAL || (class == LOCAL && owner));
	if (!switch_enabled())
		return;
	if (class == GLOBAL) {
		ptable_map(&asi_global, DIRECTMAP_BASE + first.v, first, len, 1, PROT_RW);
		return;
	}
	local = local_tables(owner);
	if (local)
		ptable_map(local, LOCALMAP_BASE + first.v, first, len, 1, PROT_RW);
}

void pageblock_hide(hpa_t first, uint64_t nr_blocks, enum mem_class class, struct mem_owner *owner)
{
	uint64_t len = nr_blocks * PAGEBLOCK_SIZE;

	ASSERT(class == GLOBAL || (class == LOCAL && owner));
	if (!switch_enabled())
		return;
	if (class == GLOBAL) {
		uint64_t removed;

		ptable_unmap(&asi_global, DIRECTMAP_BASE + first.v, len);
		removed = READ_ONCE(asi_global.nr_removed);
		tlb_flush_generation();
		ptable_note_flush(&asi_global, removed);
	} else if (local_tables(owner)) {
		ptable_unmap(local_tables(owner), LOCALMAP_BASE + first.v, len);
		asi_flush_local(asi_by_owner[owner->id]);
	}
}
