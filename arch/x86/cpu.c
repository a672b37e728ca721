/* SPDX-License-Identifier: MIT */
/* CPU features and control registers of this CPU. */
#include "arch/cpu.h"
#include <stddef.h>
#include "arch/insn.h"
#include "arch/regs.h"

static const struct {
	const char *name;
	uint32_t leaf, bit;
	enum { EBX, ECX, EDX } reg;
} required[] = {
	{ "local APIC", 1, CPUID_1_EDX_APIC, EDX },
	{ "NX", 0x80000001, CPUID_81_EDX_NX, EDX },
};

const char *cpu_init(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(required); i++) {
		struct cpuid_regs r = cpuid(required[i].leaf, 0);
		uint32_t v = required[i].reg == EBX   ? r.ebx
			     : required[i].reg == ECX ? r.ecx
						      : r.edx;

		if (!(v & required[i].bit))
			return required[i].name;
	}
	uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	if (cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & CPUID_7_EBX_SMEP)
		cr4 |= CR4_SMEP;
	write_cr4(cr4); /* without PGE: no translation may be common to two address spaces */
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	wrmsr(MSR_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	return NULL;
}

bool cpu_has_1g_pages(void)
{
	return cpuid(0x80000001, 0).edx & CPUID_81_EDX_1G;
}
