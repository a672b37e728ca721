/* SPDX-License-Identifier: MIT */
/* Comparing CPUs, a row for each word. What differs by its nature, as the APIC id in leaf 1, has none. */
#include "arch/cpusame.h"
#include <stddef.h>
#include <stdbool.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"

enum where { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX, MSR, CR0, CR4 };
/* A row counts only where the CPU has what it is about. */
enum needs { ALWAYS, ARCH_CAP, VMX, TRUE_CTLS, SECONDARY, EPT_VPID };

static const struct {
	const char *name;
	uint32_t number, subleaf; /* of the leaf; of the MSR */
	uint8_t where, needs;
} rows[] = {
	{ "family, model or stepping (CPUID leaf 1, EAX)", 1, 0, CPUID_EAX, ALWAYS },
	{ "CPUID leaf 1, ECX", 1, 0, CPUID_ECX, ALWAYS },
	{ "CPUID leaf 1, EDX", 1, 0, CPUID_EDX, ALWAYS },
	{ "CPUID leaf 7, EBX", 7, 0, CPUID_EBX, ALWAYS },
	{ "CPUID leaf 7, ECX", 7, 0, CPUID_ECX, ALWAYS },
	{ "CPUID leaf 7, EDX", 7, 0, CPUID_EDX, ALWAYS },
	{ "CPUID leaf 0xd, EAX", 0xd, 0, CPUID_EAX, ALWAYS },
	{ "CPUID leaf 0xd, subleaf 1, EAX", 0xd, 1, CPUID_EAX, ALWAYS },
	{ "CPUID leaf 0x80000001, ECX", 0x80000001, 0, CPUID_ECX, ALWAYS },
	{ "CPUID leaf 0x80000001, EDX", 0x80000001, 0, CPUID_EDX, ALWAYS },
	{ "CPUID leaf 0x80000008, EAX", 0x80000008, 0, CPUID_EAX, ALWAYS },
	{ "IA32_ARCH_CAPABILITIES", MSR_ARCH_CAPABILITIES, 0, MSR, ARCH_CAP },
	{ "IA32_VMX_BASIC", MSR_VMX_BASIC, 0, MSR, VMX },
	{ "IA32_VMX_TRUE_PINBASED_CTLS", MSR_VMX_TRUE_PIN_CTLS, 0, MSR, TRUE_CTLS },
	{ "IA32_VMX_TRUE_PROCBASED_CTLS", MSR_VMX_TRUE_PROC_CTLS, 0, MSR, TRUE_CTLS },
	{ "IA32_VMX_TRUE_EXIT_CTLS", MSR_VMX_TRUE_EXIT_CTLS, 0, MSR, TRUE_CTLS },
	{ "IA32_VMX_TRUE_ENTRY_CTLS", MSR_VMX_TRUE_ENTRY_CTLS, 0, MSR, TRUE_CTLS },
	{ "IA32_VMX_MISC", MSR_VMX_MISC, 0, MSR, VMX },
	{ "IA32_VMX_CR0_FIXED0", MSR_VMX_CR0_FIXED0, 0, MSR, VMX },
	{ "IA32_VMX_CR0_FIXED1", MSR_VMX_CR0_FIXED1, 0, MSR, VMX },
	{ "IA32_VMX_CR4_FIXED0", MSR_VMX_CR4_FIXED0, 0, MSR, VMX },
	{ "IA32_VMX_CR4_FIXED1", MSR_VMX_CR4_FIXED1, 0, MSR, VMX },
	{ "IA32_VMX_PROCBASED_CTLS2", MSR_VMX_PROC2_CTLS, 0, MSR, SECONDARY },
	{ "IA32_VMX_EPT_VPID_CAP", MSR_VMX_EPT_VPID_CAP, 0, MSR, EPT_VPID },
	{ "CR0", 0, 0, CR0, ALWAYS },
	{ "CR4", 0, 0, CR4, ALWAYS },
	{ "IA32_EFER", MSR_EFER, 0, MSR, ALWAYS },
	{ "IA32_PAT", MSR_PAT, 0, MSR, ALWAYS },
};

static uint64_t noted[ARRAY_SIZE(rows)];

/* SDM, appendix "VMX Capability Reporting Facility": the upper halves say which controls may be 1. */
static bool has_secondary(void)
{
	return rdmsr(MSR_VMX_PROC_CTLS) >> 32 & PROC_SECONDARY;
}

static bool has_ept_vpid(void)
{
	return has_secondary() && rdmsr(MSR_VMX_PROC2_CTLS) >> 32 & (PROC2_EPT | PROC2_VPID);
}

/* Asked of the CPU at hand: by the rows before, both have the same. */
static bool exists(enum needs needs)
{
	if (needs == ARCH_CAP)
		return cpuid(0, 0).eax >= 7 && cpuid(7, 0).edx & CPUID_7_EDX_ARCH_CAP;
	if (needs == ALWAYS)
		return true;
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
		return false;
	switch (needs) {
	case TRUE_CTLS:
		return rdmsr(MSR_VMX_BASIC) & BASIC_TRUE_CTLS;
	case SECONDARY:
		return has_secondary();
	case EPT_VPID:
		return has_ept_vpid();
	default:
		return true;
	}
}

/* Zeros of a leaf beyond the last, where CPUID would give the last one's. */
static struct cpuid_regs leaf(uint32_t number, uint32_t subleaf)
{
	if (cpuid(number & 0x80000000, 0).eax < number)
		return (struct cpuid_regs){ 0 };
	return cpuid(number, subleaf);
}

static uint64_t read_row(unsigned int i)
{
	if (!exists(rows[i].needs))
		return 0;
	switch (rows[i].where) {
	case CPUID_EAX:
		return leaf(rows[i].number, rows[i].subleaf).eax;
	case CPUID_EBX:
		return leaf(rows[i].number, rows[i].subleaf).ebx;
	case CPUID_ECX:
		return leaf(rows[i].number, rows[i].subleaf).ecx;
	case CPUID_EDX:
		return leaf(rows[i].number, rows[i].subleaf).edx;
	case MSR:
		return rdmsr(rows[i].number);
	case CR0:
		return read_cr0();
	default:
		return read_cr4();
	}
}

void cpusame_note(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		noted[i] = read_row(i);
}

const char *cpusame_differs(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		if (read_row(i) != noted[i])
			return rows[i].name;
	return NULL;
}
