/* SPDX-License-Identifier: MIT */
/* What a restricted space maps, in bytes by kind: what is left to attack. For reports. */
#include "asi/audit_rules.h"
#include "mm/hostmap.h"
#include "mm/memmap.h"
#include "mm/page.h"

struct state {
	const struct asi *asi;
	struct asi_surface *sum;
};

static bool is_own(const struct asi *asi, const struct pt_leaf *leaf)
{
	return pfn_to_pageblock(hpa_to_pfn(leaf->hpa))->owner == asi->owner;
}

static bool add_leaf(const struct pt_leaf *leaf, void *arg)
{
	const struct state *state = arg;
	struct asi_surface *s = state->sum;

	if (!leaf->present)
		return true;
	switch (audit_region(leaf->va)) {
	case REGION_GLOBAL:
		s->global += leaf->size;
		break;
	case REGION_LOCAL:
		s->local += leaf->size;
		s->own += is_own(state->asi, leaf) ? leaf->size : 0;
		break;
	case REGION_VMALLOC_GLOBAL:
	case REGION_VMALLOC_LOCAL:
		s->vmalloc += leaf->size;
		break;
	case REGION_METADATA:
		if (leaf->rights & PTE_W) /* else the one page of zeros that stands for holes */
			s->metadata += leaf->size;
		break;
	case REGION_PERCPU:
		s->percpu += leaf->size;
		break;
	case REGION_DEVICE:
		s->device += leaf->size;
		break;
	case REGION_IMAGE:
		s->image += leaf->size;
		s->text += leaf->rights & PTE_NX ? 0 : leaf->size;
		s->rodata += (leaf->rights & (PTE_NX | PTE_W)) == PTE_NX ? leaf->size : 0;
		break;
	default: /* the self page: the domain's number */
		break;
	}
	return true;
}

void asi_surface(const struct asi *asi, struct asi_surface *out)
{
	struct state state = { asi, out };

	*out = (struct asi_surface){ .total_ram = memmap_ram_bytes() };
	if (asi)
		ptable_for_each(&asi->pt, 0, 0, add_leaf, &state);
	out->hidden = out->total_ram - out->image - out->global - out->local - out->metadata -
		      out->percpu;
	out->tables = asi ? asi->pt.nr_tables : 0;
}

uint64_t asi_table_pages(void)
{
	uint64_t nr = hostmap_ptable()->nr_tables + asi_global.nr_tables;
	const struct asi *asi;

	for_each_domain (asi)
		nr += asi->pt.nr_tables;
	return nr;
}
