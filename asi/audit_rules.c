/* SPDX-License-Identifier: MIT */
/* The rules of the audit. See docs/asi.md, "Audit", for what each is there for. */
#include "asi/audit_rules.h"
#include "asi/expose.h"
#include "lib/bitops.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

enum audit_region audit_region(uint64_t va)
{
	static const struct {
		uint64_t base, len;
		enum audit_region region;
	} regions[] = {
		{ DIRECTMAP_BASE, PHYS_LIMIT, REGION_GLOBAL },
		{ LOCALMAP_BASE, PHYS_LIMIT, REGION_LOCAL },
		{ VMALLOC_GLOBAL_BASE, PML4_SLOT_SIZE, REGION_VMALLOC_GLOBAL },
		{ VMALLOC_LOCAL_BASE, PML4_SLOT_SIZE, REGION_VMALLOC_LOCAL },
		{ PAGE_ARRAY_BASE, PML4_SLOT_SIZE, REGION_METADATA },
		{ PERCPU_BASE, PML4_SLOT_SIZE, REGION_PERCPU },
		{ SELF_PAGE, PAGE_SIZE, REGION_SELF },
		{ DEVICE_BASE, PML4_SLOT_SIZE, REGION_DEVICE },
		{ IMAGE_BASE, -IMAGE_BASE, REGION_IMAGE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++)
		if (va - regions[i].base < regions[i].len)
			return regions[i].region;
	return REGION_NONE;
}

const char *rule_entry(const struct pt_leaf *leaf)
{
	if (!leaf->present)
		return "an absent entry that holds a frame";
	if (leaf->entry & PTE_G)
		return "a global translation";
	if (leaf->entry & PTE_U)
		return "a user mapping";
	if (leaf->rights & PTE_W && !(leaf->rights & PTE_NX))
		return "writable and executable";
	return NULL;
}

/* Local vmalloc ranges end in access windows (asi/window.h), which stand open only inside a handler. */
static bool in_window(uint64_t va)
{
	return va - VMALLOC_LOCAL_BASE < PML4_SLOT_SIZE &&
	       va % VMALLOC_LOCAL_SIZE >= VMALLOC_LOCAL_SIZE - WINDOW_SIZE;
}

/* What a vmalloc address maps is what its area's books say, and in use: no stale alias, no freed page. */
static const char *vmalloc_rule(const struct pt_leaf *leaf)
{
	if (in_window(leaf->va))
		return "an access window that was left open";
	if (leaf->size != PAGE_SIZE || vmalloc_frame(leaf->va).v != leaf->hpa.v)
		return "not the page that its vmalloc area has: a stale alias";
	return pfn_to_page(hpa_to_pfn(leaf->hpa))->state == PAGE_USED
		       ? NULL
		       : "a page that its vmalloc area has freed";
}

/* Text and constants have one alias; another one that could be written would undo their rights. */
static const char *alias_rule(const struct pt_leaf *leaf)
{
	const struct image_window *w;

	if (!(leaf->rights & PTE_W))
		return NULL;
	for (unsigned int i = 0; (w = hostmap_window(i)); i++)
		if (w->restricted && !(w->prot & PROT_W) &&
		    (uint64_t)w->start - IMAGE_BASE < leaf->hpa.v + leaf->size &&
		    (uint64_t)w->end - IMAGE_BASE > leaf->hpa.v)
			return "a writable alias of text or constants";
	return NULL;
}

static bool is_vmalloc(uint64_t va)
{
	return va - VMALLOC_SENSITIVE_BASE < PML4_SLOT_SIZE ||
	       va - VMALLOC_GLOBAL_BASE < PML4_SLOT_SIZE ||
	       va - VMALLOC_LOCAL_BASE < PML4_SLOT_SIZE;
}

const char *rule_unrestricted(const struct pt_leaf *leaf)
{
	const char *what = alias_rule(leaf);

	return what || !is_vmalloc(leaf->va) ? what : vmalloc_rule(leaf);
}

static bool tag_fits(const struct asi *asi, const struct pageblock *b, enum mem_class class)
{
	if (b->class != class)
		return false;
	return class == LOCAL ? b->owner && asi_maps_owner(asi, b->owner) : !b->owner;
}

/* A run of pages in a block: the allocator's, and a slab only of a cache of the block's class and owner. */
static const char *run_rule(struct page *head)
{
	const struct pageblock *b = pfn_to_pageblock(page_to_pfn(head));
	const struct slab_cache *cache;

	if (head->state == PAGE_TAIL)
		return "a page that was never the allocator's, among those of a guest";
	if (head->state != PAGE_SLAB)
		return NULL;
	cache = slab_cache_of(page_hva(head));
	return cache->class == b->class && cache->owner == b->owner
		       ? NULL
		       : "a slab of another class or owner than its block";
}

/* Each page of @size bytes at @hpa lies in a block with the right tag and has nothing else in it. */
static const char *blocks_rule(const struct asi *asi, hpa_t hpa, uint64_t size,
			       enum mem_class class, uint64_t *work)
{
	pfn_t pfn = hpa_to_pfn(hpa), end = pfn + (size >> PAGE_SHIFT);

	if (!memmap_is_ram(hpa.v, size))
		return "what is not RAM";
	while (pfn < end) {
		struct page *head = page_head(pfn_to_page(pfn));
		const char *what = run_rule(head);

		if (what)
			return what;
		if (!tag_fits(asi, pfn_to_pageblock(pfn), class))
			return class == LOCAL ? "a block that is not its owner's"
					      : "a block that is not GLOBAL";
		/* A run of several blocks: the next one's tag counts too. */
		pfn = MIN(page_to_pfn(head) + (1UL << head->order),
			  ALIGN_DOWN(pfn, 1UL << PAGEBLOCK_ORDER) + (1UL << PAGEBLOCK_ORDER));
		++*work;
	}
	return NULL;
}

/* A window's address is its frame's. */
static const char *window_rule(const struct asi *asi, const struct pt_leaf *leaf, uint64_t base,
			       enum mem_class class, uint64_t *work)
{
	if (leaf->va - base != leaf->hpa.v)
		return "a frame at another frame's address";
	return blocks_rule(asi, leaf->hpa, leaf->size, class, work);
}

static const char *vmalloc_local_rule(const struct asi *asi, const struct pt_leaf *leaf,
				      uint64_t *work)
{
	uint64_t range = (leaf->va - VMALLOC_LOCAL_BASE) / VMALLOC_LOCAL_SIZE;
	const char *what = vmalloc_rule(leaf);

	if (!what)
		what = blocks_rule(asi, leaf->hpa, leaf->size, LOCAL, work);
	if (what)
		return what;
	return pfn_to_pageblock(hpa_to_pfn(leaf->hpa))->owner->id == range
		       ? NULL
		       : "a page in another owner's vmalloc range";
}

/* Memory that was set aside at boot and never freed: the allocator hands out none of it. */
static const char *boot_memory_rule(const struct pt_leaf *leaf)
{
	return memmap_is_ram(leaf->hpa.v, leaf->size) &&
			       page_head(pfn_to_page(hpa_to_pfn(leaf->hpa)))->state != PAGE_TAIL
		       ? "a page that the allocator hands out"
		       : NULL;
}

static const char *image_rule(const struct pt_leaf *leaf)
{
	const struct image_window *w;

	for (unsigned int i = 0; (w = hostmap_window(i)); i++)
		if (w->restricted && leaf->va >= (uint64_t)w->start &&
		    leaf->va + leaf->size <= (uint64_t)w->end)
			return boot_memory_rule(leaf);
	if (asi_is_exposed(leaf->va, leaf->size))
		return boot_memory_rule(leaf); /* an exception that reports name */
	return "a part of the image that is not nonsensitive";
}

const char *rule_region(const struct asi *asi, const struct pt_leaf *leaf, uint64_t *work)
{
	const char *what;

	switch (audit_region(leaf->va)) {
	case REGION_GLOBAL:
		return window_rule(asi, leaf, DIRECTMAP_BASE, GLOBAL, work);
	case REGION_LOCAL:
		return window_rule(asi, leaf, LOCALMAP_BASE, LOCAL, work);
	case REGION_VMALLOC_GLOBAL:
		what = blocks_rule(asi, leaf->hpa, leaf->size, GLOBAL, work);
		return what ? what : vmalloc_rule(leaf);
	case REGION_VMALLOC_LOCAL:
		return vmalloc_local_rule(asi, leaf, work);
	case REGION_METADATA:
	case REGION_PERCPU:
		return boot_memory_rule(leaf);
	case REGION_SELF:
		return leaf->hpa.v == hva_to_hpa(asi->self).v ? NULL
							      : "a self page that is not its own";
	case REGION_DEVICE:
		return memmap_is_ram(leaf->hpa.v, leaf->size) ? "RAM among the devices" : NULL;
	case REGION_IMAGE:
		return image_rule(leaf);
	default:
		return "a region that no restricted space has";
	}
}

const char *rule_subset(const struct pt_leaf *leaf)
{
	/* The unrestricted space may have smaller leaves here; a larger one ends the loop. */
	for (uint64_t at = 0, size; at < leaf->size; at += size) {
		struct pt_walk host = ptable_walk(hostmap_ptable(), leaf->va + at);

		size = pt_level_size(host.level);
		if (!host.present)
			return "absent in the unrestricted space";
		if (leaf->va != SELF_PAGE && host.hpa.v != leaf->hpa.v + at)
			return "another frame than in the unrestricted space";
		if (leaf->rights & PTE_W && !(host.rights & PTE_W))
			return "writable, but not in the unrestricted space";
		if (!(leaf->rights & PTE_NX) && host.rights & PTE_NX)
			return "executable, but not in the unrestricted space";
	}
	return NULL;
}

/*
 * Decision 0012 exempts the table of an access window: its owner's space writes it, and finds in it
 * nothing but frames of the owner's own memory.
 */
static bool is_window(const struct pageblock *b, unsigned int level, uint64_t va)
{
	return level == 0 && b->class == LOCAL && b->owner && va == WINDOW_BASE(b->owner->id);
}

/*
 * EPT tables (decision 0002) are in no host space. Boot's tables lie in blocks that the buddy has not got
 * whole, and so can never change class: SENSITIVE too.
 */
const char *rule_table(hpa_t table, unsigned int level, uint64_t va)
{
	const struct pageblock *b = pfn_to_pageblock(hpa_to_pfn(table));

	return memmap_is_ram(table.v, PAGE_SIZE) &&
			       (b->class == SENSITIVE || is_window(b, level, va))
		       ? NULL
		       : "a page table that is not SENSITIVE";
}

static uint64_t root_entry(const struct ptable *pt, unsigned int slot)
{
	const uint64_t *root = hpa_to_direct(pt->root);

	return READ_ONCE(root[slot]);
}

const char *rule_slot(const struct asi *asi, unsigned int slot)
{
	const struct ptable *shared = map_shares(slot);
	uint64_t entry = root_entry(&asi->pt, slot);

	if (shared)
		return entry == root_entry(shared, slot)
			       ? NULL
			       : "a slot of the root that is not as all spaces share it";
	if (map_owns(asi, slot))
		return entry & PTE_P ? NULL : "a slot of the root that has lost its table";
	return entry & PTE_P ? "a slot of the root that no restricted space has" : NULL;
}

const char *rule_flushed(const struct ptable *pt)
{
	return pt->nr_removed == pt->nr_flushed ? NULL
						: "translations taken out without a flush since";
}
