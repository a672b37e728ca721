/* SPDX-License-Identifier: MIT */
/* The walk of a guest's page tables. */
#include "vmm/guestwalk.h"
#include "arch/pte.h"
#include "arch/regs.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "vmm/guestmem.h"

/* Index bits a level; level 0 has the page tables. */
#define BITS_LONG  9
#define BITS_32BIT 10

struct walk {
	const struct vm *vm;
	const struct guest_paging *p;
	uint64_t gva;
	uint64_t rights; /* PTE_W and PTE_U: in all entries so far; PTE_NX: in any */
	bool wide;	 /* entries of 8 bytes */
	uint32_t fault;	 /* PF_PRESENT, PF_RSVD if it has ended badly */
};

static bool nx_enabled(const struct guest_paging *p)
{
	return p->efer & EFER_NXE;
}

/* Bits of any entry of 8 bytes that must be 0. */
static uint64_t reserved_everywhere(const struct walk *w)
{
	uint64_t reserved = BITS(51, 0) & ~w->p->phys_mask & PTE_ADDR_MASK;

	if (!nx_enabled(w->p))
		reserved |= PTE_NX;
	if (!(w->p->efer & EFER_LMA))
		reserved |= BITS(62, 52);
	return reserved;
}

/* And of one of this level besides. */
static uint64_t reserved_here(unsigned int level, bool leaf)
{
	if (level == 3)
		return PTE_PS;
	/* Bit 12 is the PAT bit. */
	return leaf && level > 0 ? BITS(PAGE_SHIFT + BITS_LONG * level - 1, 13) : 0;
}

/* A 4-MByte page: PSE-36 puts address bits 39:32 into bits 20:13; bit 21 is reserved. */
static bool leaf_4m(struct walk *w, uint32_t entry, uint64_t *base)
{
	*base = (entry & BITS(31, 22)) | bits_get(entry, 20, 13) << 32;
	return !(entry & BIT(21)) && !(*base & ~w->p->phys_mask);
}

static bool read_entry(struct walk *w, uint64_t at, uint64_t *entry)
{
	return !guestmem_read_entry(w->vm, GPA(at), w->wide, entry) && (*entry & PTE_P);
}

/* Walks from the table at @table, which is of @level, to a leaf. False: w->fault says why. */
static bool walk_down(struct walk *w, uint64_t table, unsigned int level, uint64_t *gpa)
{
	unsigned int bits = w->wide ? BITS_LONG : BITS_32BIT;
	bool large_ok = w->wide || (w->p->cr4 & CR4_PSE);
	uint64_t reserved = reserved_everywhere(w);

	for (;; level--) {
		unsigned int shift = PAGE_SHIFT + bits * level;
		uint64_t index = w->gva >> shift & (BIT(bits) - 1), entry;
		bool leaf;

		if (!read_entry(w, table + index * (w->wide ? 8 : 4), &entry))
			return false;
		leaf = level == 0 || (level < 3 && (entry & PTE_PS) && large_ok);
		table = entry & (w->wide ? PTE_ADDR_MASK : BITS(31, 12));
		if (w->wide ? (entry & (reserved | reserved_here(level, leaf))) != 0
			    : leaf && level && !leaf_4m(w, (uint32_t)entry, &table)) {
			w->fault = PF_PRESENT | PF_RSVD;
			return false;
		}
		w->rights =
			((w->rights & entry) & (PTE_W | PTE_U)) | ((w->rights | entry) & PTE_NX);
		if (leaf) {
			*gpa = ALIGN_DOWN(table, BIT(shift)) | (w->gva & (BIT(shift) - 1));
			return true;
		}
	}
}

/* SDM, "Determination of Access Rights". Data accesses by CPL below 3 are explicit ones. */
static bool is_allowed(const struct walk *w, uint32_t access)
{
	const struct guest_paging *p = w->p;
	bool user_page = w->rights & PTE_U, user = access & PF_USER;

	if (access & PF_FETCH) {
		if (nx_enabled(p) && (w->rights & PTE_NX))
			return false;
		return user ? user_page : !(user_page && (p->cr4 & CR4_SMEP));
	}
	if (user && !user_page)
		return false;
	if (!user && user_page && (p->cr4 & CR4_SMAP) && !(p->rflags & RFLAGS_AC))
		return false;
	if ((access & PF_WRITE) && !(w->rights & PTE_W))
		return !user && !(p->cr0 & CR0_WP);
	return true;
}

static bool walk_any(struct walk *w, uint64_t *gpa)
{
	const struct guest_paging *p = w->p;
	uint64_t pdpte;

	if (!(p->cr4 & CR4_PAE))
		return walk_down(w, p->cr3 & BITS(31, 12), 1, gpa);
	w->wide = true;
	if (p->efer & EFER_LMA)
		return walk_down(w, p->cr3 & PTE_ADDR_MASK, 3, gpa);
	/* These have no access rights; reserved bits were checked when they were loaded. */
	pdpte = p->pdpte[w->gva >> 30 & 3];
	return (pdpte & PTE_P) && walk_down(w, pdpte & PTE_ADDR_MASK, 1, gpa);
}

int guestwalk(const struct vm *vm, const struct guest_paging *p, gva_t gva, uint32_t access,
	      gpa_t *gpa, uint32_t *error)
{
	struct walk w = { .vm = vm, .p = p, .gva = gva.v, .rights = PTE_W | PTE_U };

	*error = 0;
	if (!(p->cr0 & CR0_PG)) {
		*gpa = GPA((uint32_t)gva.v);
		return 0;
	}
	if (walk_any(&w, &gpa->v)) {
		if (is_allowed(&w, access))
			return 0;
		w.fault = PF_PRESENT;
	}
	/* SDM, "Page-Fault Exceptions": the I/D flag is there only if it can matter. */
	if (!(p->cr4 & CR4_SMEP) && !((p->cr4 & CR4_PAE) && nx_enabled(p)))
		access &= ~(uint32_t)PF_FETCH;
	*error = w.fault | (access & (PF_WRITE | PF_USER | PF_FETCH));
	return -EFAULT;
}
