/* SPDX-License-Identifier: MIT */
/* See unittests/fake/mmu.h. */
#include <stdio.h>
#include <string.h>
#include "unittests/fake/mmu.h"
#include "arch/insn.h"
#include "arch/pte.h"
#include "arch/regs.h"
#include "arch/tlb.h"
#include "lib/assert.h"

#define PCIDS 8

static struct {
	uint64_t root;	   /* 0: nothing is cached */
	bool stale;	   /* something cached is no longer so, or of another root */
	uint64_t stale_at; /* the same, and just here; 0: nowhere */
} tlb[PCIDS];

bool pcid_on;
char fake_mmu_log[256];
uint64_t fake_cr3;
void (*fake_mmu_point)(void);

static uint64_t pcid_of(uint64_t cr3)
{
	uint64_t pcid = cr3 & CR3_PCID_MASK;

	ASSERT(pcid_on || pcid == 0);
	ASSERT(pcid < PCIDS);
	return pcid;
}

static void point(void)
{
	if (fake_mmu_point)
		fake_mmu_point();
}

static void note(const char *what)
{
	if (strlen(fake_mmu_log) + strlen(what) < sizeof(fake_mmu_log))
		strcat(fake_mmu_log, what);
}

static void note_pcid(char what, uint64_t pcid)
{
	char text[8];

	snprintf(text, sizeof(text), "%c%u ", what, (unsigned int)pcid);
	note(text);
}

/* The running code fetches by CR3 at once, so something of it is cached always. */
static void fill(void)
{
	uint64_t pcid = pcid_of(fake_cr3), root = fake_cr3 & PTE_ADDR_MASK;

	if (tlb[pcid].root && tlb[pcid].root != root)
		tlb[pcid].stale = true;
	tlb[pcid].root = root;
}

void fake_mmu_reset(bool has_pcid, uint64_t cr3)
{
	pcid_on = has_pcid;
	fake_mmu_log[0] = '\0';
	fake_mmu_point = NULL;
	fake_cr3 = cr3;
	memset(tlb, 0, sizeof(tlb));
	fill();
}

void write_cr3(uint64_t v)
{
	uint64_t pcid = pcid_of(v);

	ASSERT(pcid_on || !(v & CR3_NOFLUSH)); /* a general protection fault */
	point();
	note_pcid(v & CR3_NOFLUSH ? 'N' : 'W', pcid);
	if (!(v & CR3_NOFLUSH))
		memset(&tlb[pcid], 0, sizeof(tlb[pcid]));
	fake_cr3 = v & ~CR3_NOFLUSH;
	fill();
	point();
}

uint64_t read_cr3(void)
{
	return fake_cr3;
}

void fake_mmu_fence(void)
{
	point();
	note("F ");
	point();
}

void tlb_flush_pcid(uint64_t pcid)
{
	point();
	note_pcid('I', pcid_of(pcid));
	memset(&tlb[pcid], 0, sizeof(tlb[pcid]));
	fill();
	point();
}

/* What was unmapped at some place (fake_mmu_unmapped_at) is dropped by an INVLPG of that place alone. */
void tlb_flush_page(uint64_t va)
{
	point();
	note("P ");
	if (tlb[pcid_of(fake_cr3)].stale_at == va)
		tlb[pcid_of(fake_cr3)].stale_at = 0;
	point();
}

void tlb_flush_pcid_page(uint64_t pcid, uint64_t va)
{
	point();
	note_pcid('P', pcid_of(pcid));
	if (tlb[pcid_of(pcid)].stale_at == va)
		tlb[pcid_of(pcid)].stale_at = 0;
	point();
}

void tlb_flush_all(void)
{
	point();
	note("A ");
	memset(tlb, 0, sizeof(tlb));
	fill();
	point();
}

struct mitigation_cpu fake_mitigation;
void (*fake_mmu_on_flush)(unsigned int flush);

void mitigation_detect(struct mitigation_cpu *out)
{
	*out = fake_mitigation;
}

void mitigation_use(unsigned int flushes, const void *buffer, size_t len)
{
	(void)flushes;
	(void)buffer;
	(void)len;
}

void mitigation_set_spec_ctrl(uint64_t value)
{
	(void)value;
}

/* In the order of the real one. */
void mitigation_flush(unsigned int flushes)
{
	static const struct {
		unsigned int flush;
		const char *name;
	} all[] = {
		{ FLUSH_IBPB, "B " }, { FLUSH_RSB, "S " }, { FLUSH_L1D, "L " }, { FLUSH_VERW, "V " }
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if (!(flushes & all[i].flush))
			continue;
		point();
		if (fake_mmu_on_flush)
			fake_mmu_on_flush(all[i].flush);
		note(all[i].name);
		point();
	}
}

void fake_mmu_unmapped(hpa_t root)
{
	for (unsigned int i = 0; i < PCIDS; i++)
		if (tlb[i].root == root.v)
			tlb[i].stale = true;
}

void fake_mmu_unmapped_at(hpa_t root, uint64_t va)
{
	for (unsigned int i = 0; i < PCIDS; i++) {
		if (tlb[i].root != root.v)
			continue;
		/* One place is remembered: two are taken for anywhere. */
		tlb[i].stale = tlb[i].stale || (tlb[i].stale_at && tlb[i].stale_at != va);
		tlb[i].stale_at = va;
	}
}

bool fake_mmu_is_fresh(void)
{
	return !tlb[pcid_of(fake_cr3)].stale && !tlb[pcid_of(fake_cr3)].stale_at;
}
