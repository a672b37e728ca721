/* SPDX-License-Identifier: MIT */
/*
 * What the restricted spaces map. Provides pageblock_expose() and pageblock_hide(): one store for each
 * 2 MiB block into a page directory that exists since boot (GLOBAL) or since the domain was made
 * (LOCAL), so neither can fail or allocate.
 */
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "asi/internal.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/page.h"

struct ptable asi_global;

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
static uint64_t vmalloc_local(const struct mem_owner *owner)
{
	return VMALLOC_LOCAL_BASE + owner->id * VMALLOC_LOCAL_SIZE;
}

static int map_self(struct asi *asi)
{
	int err;

	asi->self = page_zalloc(0, SENSITIVE, NULL);
	if (!asi->self)
		return -ENOMEM;
	asi->self->domain = asi->id;
	err = ptable_prepare(&asi->pt, SELF_PAGE, PAGE_SIZE, 0);
	if (!err)
		ptable_map(&asi->pt, SELF_PAGE, hva_to_hpa(asi->self), PAGE_SIZE, 0, PROT_R);
	return err;
}

/* Tables of its own for an owner's memory: the local window, and the way to its local vmalloc range. */
static int prepare_owner(struct asi *asi, const struct mem_owner *owner)
{
	int err = prepare_ram(&asi->pt, LOCALMAP_BASE);

	if (!err) /* the owner's local vmalloc tables live in the unrestricted tree, for good */
		err = ptable_prepare(hostmap_ptable(), vmalloc_local(owner), VMALLOC_LOCAL_SIZE, 1);
	if (!err)
		err = ptable_prepare(&asi->pt, vmalloc_local(owner), 1, 2);
	return err;
}

/* The blocks that @owner has already: a vCPU is made when its VM has memory. */
static void map_blocks(struct asi *asi, const struct mem_owner *owner)
{
	const struct memrange *r;

	for (unsigned int i = 0; (r = memmap_ram(i)); i++) {
		uint64_t hpa = ALIGN_UP(r->start, PAGEBLOCK_SIZE);

		for (; hpa + PAGEBLOCK_SIZE <= r->end; hpa += PAGEBLOCK_SIZE) {
			const struct pageblock *b = pfn_to_pageblock(hpa >> PAGE_SHIFT);

			if (b->class == LOCAL && b->owner == owner)
				ptable_map(&asi->pt, LOCALMAP_BASE + hpa, HPA(hpa), PAGEBLOCK_SIZE,
					   1, PROT_RW);
		}
	}
}

/* @asi's owner, then the parent: those whose LOCAL memory it maps. */
#define for_each_owner(o, asi) for (struct mem_owner *o = (asi)->owner; o; o = o->parent)

int map_create(struct asi *asi)
{
	struct ptable *host = hostmap_ptable();
	int err = ptable_init(&asi->pt, &pt_host_format, SENSITIVE, NULL);

	ASSERT(!asi->owner || asi->owner->pool.nr_pages == 0);
	if (err)
		return err;
	asi->has_root = true;
	err = map_self(asi);
	for_each_owner (o, asi)
		if (!err)
			err = prepare_owner(asi, o);
	if (err)
		return err;

	for (unsigned int i = 0; slot_has_ram(i); i++)
		ptable_share(&asi->pt, DIRECTMAP_BASE + i * PML4_SLOT_SIZE, &asi_global,
			     DIRECTMAP_BASE + i * PML4_SLOT_SIZE, PT_LEVELS - 1);
	ptable_share(&asi->pt, IMAGE_BASE, &asi_global, IMAGE_BASE, PT_LEVELS - 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(host_slots); i++)
		ptable_share(&asi->pt, host_slots[i], host, host_slots[i], PT_LEVELS - 1);
	for_each_owner (o, asi) {
		ptable_share(&asi->pt, vmalloc_local(o), host, vmalloc_local(o), 2);
		map_blocks(asi, o);
	}
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
		for_each_owner (o, asi)
			ptable_unshare(&asi->pt, vmalloc_local(o), 2);
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

bool map_owns(const struct asi *asi, unsigned int slot)
{
	if (slot == PML4_SLOT(SELF_PAGE))
		return true;
	if (!asi->owner)
		return false;
	if (slot - PML4_SLOT(LOCALMAP_BASE) < PHYS_SLOTS) {
		uint64_t first = (slot - PML4_SLOT(LOCALMAP_BASE)) * PML4_SLOT_SIZE;
		const struct memrange *r;

		for (unsigned int i = 0; (r = memmap_ram(i)); i++)
			if (ranges_overlap(first, PML4_SLOT_SIZE, r->start, r->end - r->start))
				return true;
		return false;
	}
	return slot == PML4_SLOT(VMALLOC_LOCAL_BASE);
}

void asi_require_mapped(const struct asi *asi, const void *hva, size_t len, const char *what)
{
	uint64_t va = (uint64_t)hva;

	for (uint64_t at = ALIGN_DOWN(va, PAGE_SIZE); asi && at < va + len; at += PAGE_SIZE)
		if (!ptable_walk(&asi->pt, at).present)
			panic("domain %u does not map 0x%lx, which critical sections touch: %s",
			      asi->id, at, what);
}

void pageblock_leave_restricted(void)
{
	/* In a critical section, or a handler inside one, the fault does it, and the return undoes it. */
	if (asi_current() && !this_cpu(asi_target) && !this_cpu(trap_depth))
		asi_exit();
}

void pageblock_expose(hpa_t first, uint64_t nr_blocks, enum mem_class class,
		      struct mem_owner *owner)
{
	uint64_t len = nr_blocks * PAGEBLOCK_SIZE, flags;
	struct asi *asi;

	ASSERT(class == GLOBAL || (class == LOCAL && owner));
	if (!switch_enabled())
		return;
	if (class == GLOBAL) {
		ptable_map(&asi_global, DIRECTMAP_BASE + first.v, first, len, 1, PROT_RW);
		return;
	}
	flags = spin_lock(&asi_lock);
	for_each_domain (asi)
		if (asi_maps_owner(asi, owner))
			ptable_map(&asi->pt, LOCALMAP_BASE + first.v, first, len, 1, PROT_RW);
	spin_unlock(&asi_lock, flags);
}

void pageblock_hide(hpa_t first, uint64_t nr_blocks, enum mem_class class, struct mem_owner *owner)
{
	uint64_t len = nr_blocks * PAGEBLOCK_SIZE, nr;

	ASSERT(class == GLOBAL || (class == LOCAL && owner));
	if (!switch_enabled())
		return;
	if (class == GLOBAL) {
		nr = ptable_unmap(&asi_global, DIRECTMAP_BASE + first.v, len);
		asi_flush_global(DIRECTMAP_BASE + first.v, len);
		ptable_note_flush(&asi_global, nr);
	} else {
		shootdown_unmap(owner, LOCALMAP_BASE + first.v, len);
	}
}
