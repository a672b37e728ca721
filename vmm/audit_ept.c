/* SPDX-License-Identifier: MIT */
/*
 * The walk through what guests reach by EPT, in steps. Two halves: what vm->ram says is this VM's and nobody
 * else's, whatever tables say; and EPT maps it, all else being absent.
 */
#include "vmm/audit_ept.h"
#include "arch/vmx.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "vmm/ept.h"
#include "vmm/guestmem.h"
#include "vmm/guestram.h"
#include "vmm/lapic.h"

#define REPORTS_MAX 8
#define STEP_WORK   256 /* entries and blocks that make a step; the last one may go beyond */
#define FAST_PARTS  32	/* words in a row are passed as quickly as one entry is looked at */
#define GPA_END	    BIT(48)

struct state {
	const struct vm *vm;
	struct ept_audit_walk *walk;
	uint64_t work;
};

static void violation(struct state *s, uint64_t gpa, uint64_t entry, const char *what)
{
	if (!what || s->walk->sum.violations++ >= REPORTS_MAX)
		return;
	log_error("audit: guest %s at 0x%lx (entry 0x%lx): %s", s->vm->options.name, gpa, entry,
		  what);
}

/* The tags do not tell two VMs' SENSITIVE blocks apart, and no VM's from itself: the books of all VMs do. */
static bool is_once(struct state *s, hpa_t block)
{
	unsigned int found = 0;

	for (unsigned int id = 1; id <= OWNER_MAX; id++) {
		const struct vm *vm = vm_get(id);

		for (uint64_t i = 0; vm && i < vm->nr_ram; i++)
			found += vm->ram[i].v == block.v;
		s->work += vm ? vm->nr_ram / FAST_PARTS : 0;
	}
	return found == 1;
}

/* A block of the VM's RAM: there, tagged as its, allocated as guest RAM is, and in no other place. */
static const char *block_rule(struct state *s, hpa_t block)
{
	enum mem_class class = guestram_class(s->vm);
	const struct pageblock *tag;
	const struct page *head;

	if (!IS_ALIGNED(block.v, PAGEBLOCK_SIZE) || !memmap_is_ram(block.v, PAGEBLOCK_SIZE))
		return "guest RAM that is none of the machine's";
	tag = pfn_to_pageblock(hpa_to_pfn(block));
	if (tag->class != class || tag->owner != (class == LOCAL ? s->vm->owner : NULL))
		return "guest RAM in a block of another class or owner";
	/* Nothing else of ours lies in runs of whole blocks, or ours would be a guest's. */
	head = page_head(pfn_to_page(hpa_to_pfn(block)));
	if (head->state != PAGE_USED || head->order < PAGEBLOCK_ORDER)
		return "guest RAM that is free, or the hypervisor's";
	return is_once(s, block) ? NULL : "guest RAM that has two places";
}

/* Decision 0002. A single page of the VM's: one in guest RAM, which has the same tag, would be the guest's to write. */
static bool is_own_page(const struct vm *vm, hpa_t hpa)
{
	const struct pageblock *tag = pfn_to_pageblock(hpa_to_pfn(hpa));
	const struct page *page = pfn_to_page(hpa_to_pfn(hpa));

	return memmap_is_ram(hpa.v, PAGE_SIZE) && tag->class == LOCAL && tag->owner == vm->owner &&
	       page->state == PAGE_USED && page->order == 0;
}

static const char *apic_page_rule(const struct vm *vm, const struct pt_leaf *leaf)
{
	uint64_t flags = ptable_leaf_flags(&pt_ept_format, 0, EPT_APIC_PAGE_PROT);

	if (leaf->size != PAGE_SIZE || leaf->entry != (vm->apic_page.v | flags))
		return "another page, or other rights, than the APIC-access page has";
	return is_own_page(vm, vm->apic_page)
		       ? NULL
		       : "an APIC-access page that is not LOCAL memory of its VM";
}

/* What vmm/ept.c would have made there. */
static const char *leaf_rule(const struct vm *vm, const struct pt_leaf *leaf)
{
	uint64_t flags = ptable_leaf_flags(&pt_ept_format, leaf->size > PAGE_SIZE, PROT_RWX);

	if (!leaf->present)
		return "an absent entry that holds a frame";
	if (leaf->va == LAPIC_PAGE && vm->apic_page.v)
		return apic_page_rule(vm, leaf);
	if (leaf->entry != (leaf->hpa.v | flags))
		return "rights, memory type or bits that no guest RAM has";
	if (!guestmem_is_ram(vm, GPA(leaf->va), leaf->size))
		return "a mapping where the guest has no RAM";
	for (uint64_t at = 0; at < leaf->size; at += PAGE_SIZE_2M) {
		uint64_t gpa = leaf->va + at;

		if (vm->ram[gpa / PAGE_SIZE_2M].v + gpa % PAGE_SIZE_2M != leaf->hpa.v + at)
			return "a frame that is not the guest's RAM there";
	}
	return NULL;
}

static const char *table_rule(const struct vm *vm, hpa_t table)
{
	return is_own_page(vm, table) ? NULL : "a table that is not LOCAL memory of its VM";
}

/* The tables that begin at @gpa, from the root down to the one whose entries have @size. */
static void check_tables(struct state *s, uint64_t gpa, uint64_t size)
{
	for (unsigned int l = PT_LEVELS; l-- && pt_level_size(l) >= size;) {
		hpa_t table;

		if (!IS_ALIGNED(gpa, pt_level_size(l + 1)))
			continue;
		table = ptable_table(&s->vm->ept, gpa, l);
		s->walk->tables++;
		violation(s, gpa, table.v, table_rule(s->vm, table));
	}
}

static void check_entry(struct state *s)
{
	struct ept_audit_walk *w = s->walk;
	struct pt_leaf leaf;
	uint64_t next = ptable_next(&s->vm->ept, w->gpa, &leaf);

	check_tables(s, w->gpa, leaf.size);
	if (leaf.present || leaf.entry != PTE_ABSENT)
		violation(s, w->gpa, leaf.entry, leaf_rule(s->vm, &leaf));
	w->sum.leaves += leaf.present;
	w->sum.bytes += leaf.present ? leaf.size : 0;
	s->work += 1 + (next - w->gpa) / leaf.size / FAST_PARTS +
		   leaf.size / PAGE_SIZE_2M / FAST_PARTS;
	w->gpa = next;
}

static void begin_vm(struct state *s)
{
	const struct ptable *ept = &s->vm->ept;

	s->walk->tables = 0;
	s->walk->least_tables = ept->nr_tables;
	s->walk->sum.vms++;
	if (s->vm->eptp != (ept->root.v | EPTP_WB | EPTP_WALK_4))
		violation(s, 0, s->vm->eptp, "a pointer to other tables than the VM's");
	if (ept->nr_removed != ept->nr_flushed)
		violation(s, 0, ept->root.v, "translations taken out without a flush since");
}

/* Tables come while a guest runs, and go with it: all that were there at the beginning have been met. */
static void end_vm(struct state *s)
{
	struct ept_audit_walk *w = s->walk;

	w->sum.tables += w->tables;
	if (w->tables < w->least_tables || w->tables > s->vm->ept.nr_tables)
		violation(s, 0, s->vm->ept.root.v, "tables that the VM has not made, or has lost");
}

static void check_block(struct state *s)
{
	uint64_t i = s->walk->block++;
	hpa_t block = s->vm->ram[i];

	s->work++;
	if (block.v != HPA_NONE.v) /* given back */
		violation(s, i * PAGEBLOCK_SIZE, block.v, block_rule(s, block));
}

/* The next block or entry of a VM; false if there was none left. */
static bool check_next(struct state *s)
{
	if (!s->walk->block)
		begin_vm(s);
	if (s->walk->block < s->vm->nr_ram)
		check_block(s);
	else if (s->walk->gpa < GPA_END)
		check_entry(s);
	else
		return false;
	return true;
}

/* To the next VM that there is; false behind the last. */
static bool next_vm(struct ept_audit_walk *w)
{
	w->block = w->gpa = 0;
	while (++w->vm <= OWNER_MAX)
		if (vm_get(w->vm))
			return true;
	return false;
}

bool ept_audit_step(struct ept_audit_walk *walk)
{
	struct state s = { .walk = walk };

	while (s.work < STEP_WORK) {
		/* One that ended between two steps is no longer of interest. */
		s.vm = vm_get(walk->vm);
		if (s.vm && check_next(&s))
			continue;
		if (s.vm)
			end_vm(&s);
		if (!next_vm(walk))
			return true;
	}
	return false;
}
