/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR that the MSR bitmap lets exit. What is neither in the table nor the local APIC's is #GP by our own
 * rule: no number of a guest's ever reaches the host's RDMSR, which an emulator may swallow.
 */
#include "arch/regs.h"
#include "arch/vmx.h"
#include "arch/vmxcpu.h"
#include "lib/bitops.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"

enum read_rule { READ_GP, READ_LAPIC, READ_VALUE, READ_MISC, READ_EFER, READ_PAT };
enum write_rule { WRITE_GP, WRITE_LAPIC, WRITE_IGNORED, WRITE_SAME, WRITE_EFER, WRITE_PAT };

#define MSR_PLATFORM_ID	   0x17
#define MSR_BIOS_UPDT_TRIG 0x79

/* Some microcode, so that nobody looks for a newer one. */
#define MICROCODE_VALUE (1UL << 32)
/* MTRRs on, everything write-back; no ranges (MTRRCAP is 0). They have no effect under EPT. */
#define MTRR_VALUE 0x806

/*
 * Sorted by number. WRITE_SAME: only what it reads. What the bitmap passes (vmcs.c) never gets
 * here; a write of the TSC does, and faults: all that is measured relies on it. So does TSC_ADJUST, but for 0.
 */
static const struct msr {
	uint32_t number;
	enum read_rule read;
	enum write_rule write;
	uint64_t value;
} msrs[] = {
	{ MSR_PLATFORM_ID, READ_VALUE, WRITE_GP, 0 }, /* every CPU has it, and Xen reads it */
	{ MSR_FEATURE_CONTROL, READ_VALUE, WRITE_GP, FEATURE_CONTROL_LOCKED }, /* VMX off */
	{ MSR_TSC_ADJUST, READ_VALUE, WRITE_SAME, 0 },
	{ MSR_BIOS_UPDT_TRIG, READ_GP, WRITE_IGNORED, 0 },
	{ MSR_BIOS_SIGN_ID, READ_VALUE, WRITE_IGNORED, MICROCODE_VALUE },
	{ MSR_MTRRCAP, READ_VALUE, WRITE_GP, 0 },
	{ MSR_MISC_ENABLE, READ_MISC, WRITE_IGNORED, 0 },
	{ MSR_DEBUGCTL, READ_VALUE, WRITE_SAME, 0 },
	{ MSR_PAT, READ_PAT, WRITE_PAT, 0 },
	{ MSR_MTRR_DEF_TYPE, READ_VALUE, WRITE_IGNORED, MTRR_VALUE },
	{ MSR_EFER, READ_EFER, WRITE_EFER, 0 },
};

static const struct msr *find(uint32_t number)
{
	unsigned int low = 0, high = ARRAY_SIZE(msrs);

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (msrs[mid].number == number)
			return &msrs[mid];
		if (msrs[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

enum exit_action exit_rdmsr(struct vcpu *v)
{
	const struct msr *m = find((uint32_t)v->regs[RCX]);
	uint64_t value = 0;

	switch (m ? m->read : READ_LAPIC) {
	case READ_GP:
		return exit_gp(v);
	case READ_LAPIC:
		if (!lapic_rdmsr(v, (uint32_t)v->regs[RCX], &value))
			return exit_gp(v);
		break;
	case READ_VALUE:
		value = m->value;
		break;
	case READ_MISC:
		value = guest_cpu()->misc_enable;
		break;
	case READ_EFER:
		value = vmcs_read(VMCS_GUEST_EFER);
		break;
	case READ_PAT:
		value = vmcs_read(VMCS_GUEST_PAT);
		break;
	}
	v->regs[RAX] = (uint32_t)value;
	v->regs[RDX] = value >> 32;
	return RESUME_NEXT;
}

/* Each of the eight entries is a memory type: UC, WC, WT, WP, WB or UC- (SDM, "IA32_PAT MSR"). */
static bool pat_is_legal(uint64_t pat)
{
	for (unsigned int i = 0; i < 64; i += 8) {
		uint8_t type = (uint8_t)(pat >> i);

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/*
 * LMA is read-only: it follows LME when CR0.PG changes (exit_cr.c), and so does the entry
 * control "IA-32e mode guest". LME must not change while paging is on.
 */
static bool write_efer(struct vcpu *v, uint64_t value)
{
	uint64_t old = vmcs_read(VMCS_GUEST_EFER);
	uint64_t new = (value & ~EFER_LMA) | (old & EFER_LMA);

	if (value & ~guest_cpu()->efer)
		return false;
	if (((old ^ new) & EFER_LME) && (vmcs_read(VMCS_GUEST_CR0) & CR0_PG))
		return false;
	vmcs_write(VMCS_GUEST_EFER, new);
	/* With NXE, bit 63 of what is cached changes its meaning. */
	if ((old ^ new) & EFER_NXE)
		vmx_flush_vpid(v->vpid);
	return true;
}

static bool write_pat(uint64_t value)
{
	if (!pat_is_legal(value))
		return false;
	vmcs_write(VMCS_GUEST_PAT, value);
	return true;
}

enum exit_action exit_wrmsr(struct vcpu *v)
{
	const struct msr *m = find((uint32_t)v->regs[RCX]);
	uint64_t value = v->regs[RDX] << 32 | (uint32_t)v->regs[RAX];
	bool ok = false;

	switch (m ? m->write : WRITE_LAPIC) {
	case WRITE_GP:
		break;
	case WRITE_LAPIC:
		ok = lapic_wrmsr(v, (uint32_t)v->regs[RCX], value);
		break;
	case WRITE_IGNORED:
		ok = true;
		break;
	case WRITE_SAME:
		ok = value == m->value;
		break;
	case WRITE_EFER:
		ok = write_efer(v, value);
		break;
	case WRITE_PAT:
		ok = write_pat(value);
		break;
	}
	return ok ? RESUME_NEXT : exit_gp(v);
}
