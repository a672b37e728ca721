/* SPDX-License-Identifier: MIT */
/*
 * The audit: every leaf of every restricted space against the unrestricted tables and the tags. It
 * trusts neither the switch code nor the allocators' records of what they mapped, only the tables
 * as they stand and the class of each pageblock.
 */
#include "asi/internal.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/page.h"

#define REPORTS_MAX 8

struct walk_state {
	const struct asi *asi;
	struct asi_audit *audit;
	struct asi_surface *surface;
};

static void violation(struct walk_state *s, const struct pt_leaf *leaf, const char *what)
{
	if (s->audit->violations++ < REPORTS_MAX)
		log_error("audit: domain %u maps 0x%lx (entry 0x%lx): %s", s->asi->owner->id,
			  leaf->va, leaf->entry, what);
}

/* Whether every 2 MiB block of the leaf has this class and owner. */
static bool blocks_are(const struct pt_leaf *leaf, enum mem_class class,
		       const struct mem_owner *owner)
{
	for (uint64_t at = 0; at < leaf->size; at += PAGEBLOCK_SIZE) {
		uint64_t hpa = leaf->hpa.v + at;
		const struct pageblock *b = pfn_to_pageblock(hpa >> PAGE_SHIFT);

		if (!memmap_is_ram(hpa, MIN(leaf->size, PAGEBLOCK_SIZE)) || b->class != class ||
		    b->owner != owner)
			return false;
	}
	return true;
}

static bool in_image_window(const struct pt_leaf *leaf)
{
	const struct image_window *w;

	for (unsigned int i = 0; (w = hostmap_window(i)); i++)
		if (w->restricted && leaf->va >= (uint64_t)w->start &&
		    leaf->va + leaf->size <= (uint64_t)w->end)
			return true;
	return false;
}

static bool in_region(const struct pt_leaf *leaf, uint64_t base, uint64_t len)
{
	return leaf->va >= base && leaf->va - base < len;
}

/* The rule of the leaf's region; NULL if it is kept. Also sums up the surface. */
static const char *region_rule(struct walk_state *s, const struct pt_leaf *leaf)
{
	const struct mem_owner *owner = s->asi->owner;
	struct asi_surface *sum = s->surface;

	if (in_region(leaf, DIRECTMAP_BASE, PHYS_LIMIT)) {
		sum->global += leaf->size;
		return blocks_are(leaf, GLOBAL, NULL) ? NULL : "a block that is not GLOBAL";
	}
	if (in_region(leaf, LOCALMAP_BASE, PHYS_LIMIT)) {
		sum->local += leaf->size;
		return blocks_are(leaf, LOCAL, owner) ? NULL : "a block that is not its owner's";
	}
	if (in_region(leaf, VMALLOC_GLOBAL_BASE, PML4_SLOT_SIZE)) {
		sum->vmalloc += leaf->size;
		return blocks_are(leaf, GLOBAL, NULL) ? NULL : "a vmalloc page that is not GLOBAL";
	}
	if (in_region(leaf, WINDOW_BASE(owner->id), WINDOW_SIZE))
		return "an access window that was left open";
	if (in_region(leaf, VMALLOC_LOCAL_BASE + owner->id * VMALLOC_LOCAL_SIZE,
		      VMALLOC_LOCAL_SIZE)) {
		sum->vmalloc += leaf->size;
		return blocks_are(leaf, LOCAL, owner) ? NULL
						      : "a vmalloc page that is not its owner's";
	}
	if (in_region(leaf, PAGE_ARRAY_BASE, PML4_SLOT_SIZE)) {
		if (leaf->rights &
		    PTE_W) /* read-only: the one page of zeros that stands for holes */
			sum->metadata += leaf->size;
		return NULL;
	}
	if (in_region(leaf, PERCPU_BASE, PML4_SLOT_SIZE)) {
		sum->percpu += leaf->size;
		return NULL;
	}
	if (in_region(leaf, DEVICE_BASE, PML4_SLOT_SIZE)) {
		sum->device += leaf->size;
		return NULL;
	}
	if (in_region(leaf, SELF_PAGE, PAGE_SIZE))
		return leaf->hpa.v == hva_to_hpa(s->asi->self).v
			       ? NULL
			       : "a self page that is not its own";
	if (leaf->va >= IMAGE_BASE) {
		sum->image += leaf->size;
		return in_image_window(leaf) ? NULL
					     : "a part of the image that is not nonsensitive";
	}
	return "a region that no restricted space has";
}

/* Subset of the unrestricted space: the same frame, no right more. The self page alone differs. */
static const char *subset_rule(const struct pt_leaf *leaf)
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

static bool check_leaf(const struct pt_leaf *leaf, void *arg)
{
	struct walk_state *s = arg;
	const char *what;

	if (!leaf->present) {
		violation(s, leaf, "an absent entry that holds a frame");
		return true;
	}
	s->audit->leaves++;
	s->audit->bytes += leaf->size;
	if (leaf->entry & PTE_G)
		violation(s, leaf, "a global translation");
	if (leaf->entry & PTE_U)
		violation(s, leaf, "a user mapping");
	if (leaf->rights & PTE_W && !(leaf->rights & PTE_NX))
		violation(s, leaf, "writable and executable");
	what = region_rule(s, leaf);
	if (!what)
		what = subset_rule(leaf);
	if (what)
		violation(s, leaf, what);
	return true;
}

/*
 * Decision 9701 exempts the table of an access window: its owner's space writes it, and finds in it
 * nothing but frames of the owner's own memory.
 */
static bool is_window(const struct pageblock *b, unsigned int level, uint64_t va)
{
	return level == 0 && b->class == LOCAL && b->owner && va == WINDOW_BASE(b->owner->id);
}

/*
 * Of one page that is a table: SENSITIVE (EPT tables are not met here). Boot's tables lie in blocks that
 * the buddy has not got whole, and so can never change class.
 */
static bool check_table(hpa_t table, unsigned int level, uint64_t va, void *arg)
{
	struct asi_audit *audit = arg;
	const struct pageblock *b = pfn_to_pageblock(hpa_to_pfn(table));

	audit->tables++;
	if (memmap_is_ram(table.v, PAGE_SIZE) && (b->class == SENSITIVE || is_window(b, level, va)))
		return true;
	if (audit->violations++ < REPORTS_MAX)
		log_error("audit: the table of level %u for 0x%lx, at 0x%lx, is not SENSITIVE",
			  level, va, table.v);
	return true;
}

/* Each domain's tables; what it shares is seen with the shared ones, and again with each domain. */
static void audit_tables(struct asi_audit *audit)
{
	ptable_for_each_table(hostmap_ptable(), check_table, audit);
	if (switch_enabled())
		ptable_for_each_table(&asi_global, check_table, audit);
	for (unsigned int i = 1; i <= OWNER_MAX; i++)
		if (asi_by_owner[i])
			ptable_for_each_table(&asi_by_owner[i]->pt, check_table, audit);
}

static void audit_domain(const struct asi *asi, struct asi_audit *audit,
			 struct asi_surface *surface)
{
	struct walk_state s = { asi, audit, surface };

	audit->domains++;
	ptable_for_each(&asi->pt, 0, 0, check_leaf, &s);
}

void asi_audit(struct asi_audit *out)
{
	struct asi_surface surface = { 0 };

	*out = (struct asi_audit){ 0 };
	for (unsigned int i = 1; i <= OWNER_MAX; i++)
		if (asi_by_owner[i])
			audit_domain(asi_by_owner[i], out, &surface);
	audit_tables(out);
}

void asi_surface(const struct asi *asi, struct asi_surface *out)
{
	struct asi_audit audit = { 0 };

	*out = (struct asi_surface){ .total_ram = memmap_ram_bytes() };
	if (asi)
		audit_domain(asi, &audit, out);
	out->hidden = out->total_ram - out->image - out->global - out->local - out->metadata -
		      out->percpu;
	out->tables = asi ? asi->pt.nr_tables : 0;
}

uint64_t asi_table_pages(void)
{
	uint64_t nr = hostmap_ptable()->nr_tables + asi_global.nr_tables;

	for (unsigned int i = 1; i <= OWNER_MAX; i++)
		if (asi_by_owner[i])
			nr += asi_by_owner[i]->pt.nr_tables;
	return nr;
}
