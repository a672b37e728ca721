/* SPDX-License-Identifier: MIT */
/* TLB flushes of this CPU. CR4.PGE is off but for a moment: no translation outlives its PCID. */
#include "arch/tlb.h"
#include "arch/insn.h"
#include "arch/regs.h"

__nonsensitive bool pcid_on;

void tlb_init(bool wanted)
{
	pcid_on = wanted && cpuid(1, 0).ecx & CPUID_1_ECX_PCID && cpuid(0, 0).eax >= 7 &&
		  cpuid(7, 0).ebx & CPUID_7_EBX_INVPCID;
	tlb_init_cpu();
}

void tlb_init_cpu(void)
{
	if (pcid_on)
		write_cr4(read_cr4() | CR4_PCIDE);
}

/*
 * SDM, "Operations that Invalidate TLBs": a change of CR4.PGE drops everything, global or not. Not by CR3:
 * an NMI between reading and writing it may leave the restricted space, and the write would go back.
 */
static void flush_by_pge(void)
{
	uint64_t cr4 = read_cr4();

	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(cr4);
}

/* These read no canary: a domain that is being entered perhaps does not map it. */
__no_stack_protector void tlb_flush_all(void)
{
	if (pcid_on)
		invpcid(INVPCID_ALL_GLOBAL, 0, 0);
	else
		flush_by_pge();
}

__no_stack_protector void tlb_flush_pcid(uint64_t pcid)
{
	if (pcid_on)
		invpcid(INVPCID_CONTEXT, pcid, 0);
	else
		flush_by_pge();
}

void tlb_flush_page(uint64_t va)
{
	invlpg(va);
}

__no_stack_protector void tlb_flush_pcid_page(uint64_t pcid, uint64_t va)
{
	if (pcid_on)
		invpcid(INVPCID_ADDRESS, pcid, va);
	else
		invlpg(va);
}
