/* SPDX-License-Identifier: MIT */
/*
 * The walk of the audit: space after space, entry after entry, in steps. Each entry is looked up from
 * the root by itself, so nothing is kept between steps that tables changed meanwhile could make stale.
 */
#include "asi/audit.h"
#include "asi/audit_rules.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/hostmap.h"

#define REPORTS_MAX 8
/*
 * Entries, root slots and pages of memory that make a step. The last one may go beyond by a block
 * (512 pages) and a root (512 slots).
 */
#define STEP_WORK	256
#define ABSENT_PER_WORK 32 /* absent entries in a row are passed as quickly as one is looked at */

struct state {
	const struct asi *asi; /* NULL: the unrestricted space */
	const struct ptable *pt;
	struct asi_audit *sum;
	uint64_t work;
};

static void violation(struct state *s, uint64_t va, uint64_t entry, const char *what)
{
	if (!what || s->sum->violations++ >= REPORTS_MAX)
		return;
	if (s->asi)
		log_error("audit: domain %u at 0x%lx (entry 0x%lx): %s", s->asi->id, va, entry,
			  what);
	else
		log_error("audit: unrestricted space at 0x%lx (entry 0x%lx): %s", va, entry, what);
}

static void check_leaf(struct state *s, const struct pt_leaf *leaf)
{
	const char *what;

	violation(s, leaf->va, leaf->entry, rule_entry(leaf));
	if (!leaf->present)
		return;
	if (!s->asi) {
		violation(s, leaf->va, leaf->entry, rule_unrestricted(leaf));
		return;
	}
	s->sum->leaves++;
	s->sum->bytes += leaf->size;
	what = rule_region(s->asi, leaf, &s->work);
	violation(s, leaf->va, leaf->entry, what ? what : rule_subset(leaf));
}

/* The tables that begin at @va, from the root down to the one whose entries have @size. */
static void check_tables(struct state *s, uint64_t va, uint64_t size)
{
	for (unsigned int l = PT_LEVELS; l-- && pt_level_size(l) >= size;) {
		hpa_t table;

		if (!IS_ALIGNED(va, pt_level_size(l + 1)))
			continue;
		table = ptable_table(s->pt, va, l);
		s->sum->tables++;
		violation(s, va, table.v, rule_table(table, l, va));
	}
}

/* The entry at @va, which begins there; where the next one that counts does, 0 behind the last. */
static uint64_t check_entry(struct state *s, uint64_t va)
{
	struct pt_leaf leaf;
	uint64_t next = ptable_next(s->pt, va, &leaf);
	bool upper = va >= DIRECTMAP_BASE;

	check_tables(s, va, leaf.size);
	if (leaf.present || leaf.entry != PTE_ABSENT)
		check_leaf(s, &leaf);
	s->work += 1 + (next - va) / leaf.size / ABSENT_PER_WORK;
	/* No address lies between the halves; the root's entries of both stand in one table. */
	return next < BIT(47) || upper ? next : next + (DIRECTMAP_BASE - BIT(47));
}

/* The first address of a slot of the root, canonical. */
static uint64_t slot_address(unsigned int slot)
{
	return slot * PML4_SLOT_SIZE + (slot < 256 ? 0 : DIRECTMAP_BASE - BIT(47));
}

/* What is the space's as a whole. */
static void begin_space(struct state *s)
{
	violation(s, 0, s->pt->root.v, rule_flushed(s->pt));
	if (!s->asi) {
		violation(s, 0, asi_global.root.v, rule_flushed(&asi_global));
		violation(s, 0, 0, shootdown_wrong());
		return;
	}
	s->sum->domains++;
	for (unsigned int slot = 0; slot < 512; slot++, s->work++)
		violation(s, slot_address(slot), 0, rule_slot(s->asi, slot));
}

/* To the next space that there is; false behind the last. */
static bool next_space(struct asi_audit_walk *walk)
{
	while (++walk->space < DOMAINS_MAX)
		if (asi_domains[walk->space])
			return true;
	return false;
}

bool asi_audit_step(struct asi_audit_walk *walk)
{
	uint64_t work = 0;

	while (work < STEP_WORK) {
		const struct asi *asi = walk->space ? asi_domains[walk->space] : NULL;
		struct state s = { asi, asi ? &asi->pt : hostmap_ptable(), &walk->sum, work };

		/* A domain that ended between two steps is no longer of interest. */
		if (asi || !walk->space) {
			if (!walk->va)
				begin_space(&s);
			walk->va = check_entry(&s, walk->va);
		} else {
			walk->va = 0;
		}
		work = s.work;
		if (!walk->va && !next_space(walk))
			return true;
	}
	return false;
}

void asi_audit(struct asi_audit *out)
{
	struct asi_audit_walk walk = { 0 };

	while (!asi_audit_step(&walk))
		;
	*out = walk.sum;
}
