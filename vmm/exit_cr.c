/* SPDX-License-Identifier: MIT */
/*
 * Control registers. A write that exits gives the register as the guest shall see it, which
 * is checked as the CPU would (SDM, "MOV - Move to/from Control Registers"). The read shadow
 * takes all of it; the real register takes it with what VMX needs.
 */
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "arch/vmxcpu.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"
#include "vmm/guestmem.h"
#include "vmm/lapic.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
/* Changes of these make what the TLB holds wrong (SDM, "Operations that invalidate TLBs"). */
#define CR4_TLB_BITS (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)
/* MOV to CR0 and CR4 that change one of these load the PDPTEs (SDM, "PDPTE registers"). */
#define CR0_PDPTE_BITS (CR0_PG | CR0_CD | CR0_NW)
#define CR4_PDPTE_BITS (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

#define PDPTE_RSVD_LOW	   0x1e6UL
#define TR_TYPE_TSS16_BUSY 3u

/* A register as the guest sees it: host-owned bits from the shadow. */
static uint64_t guest_view(uint32_t real, uint32_t mask, uint32_t shadow)
{
	uint64_t owned = vmcs_read(mask);

	return (vmcs_read(real) & ~owned) | (vmcs_read(shadow) & owned);
}

static uint64_t guest_cr0(void)
{
	return guest_view(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW);
}

static uint64_t guest_cr4(void)
{
	return guest_view(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW);
}

/*
 * With EPT, PAE paging uses the four entries in the VMCS. A table outside of RAM would read all
 * ones, which has reserved bits set.
 */
static bool load_pdptes(struct vcpu *v)
{
	uint64_t pdpte[4], reserved = PDPTE_RSVD_LOW | ~guest_cpu()->phys_mask;
	gpa_t table = GPA(vmcs_read(VMCS_GUEST_CR3) & 0xffffffe0);

	if (guestmem_read(v->vm, table, pdpte, sizeof(pdpte)))
		return false;
	for (unsigned int i = 0; i < 4; i++)
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return false;
	for (unsigned int i = 0; i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
	return true;
}

/* SDM, "Activating IA-32e mode" and "Deactivating": whether paging may go on or off so. */
static bool paging_change_is_legal(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	bool cs_l = vmcs_read32(VMCS_GUEST_CS_AR) & SEG_AR_L;
	uint32_t tr_type = vmcs_read32(VMCS_GUEST_TR_AR) & SEG_AR_TYPE_MASK;

	if (!(cr0 & CR0_PG)) /* CS.L counts only in IA-32e mode */
		return !(cr4 & CR4_PCIDE) && !((efer & EFER_LMA) && cs_l);
	if (efer & EFER_LME)
		return (cr4 & CR4_PAE) && !cs_l && tr_type != TR_TYPE_TSS16_BUSY;
	return true;
}

/* LMA = LME and PG; VM entry demands that its control says the same. */
static void follow_paging(uint64_t cr0, uint64_t efer)
{
	bool active = (cr0 & CR0_PG) && (efer & EFER_LME);
	uint32_t ctls = vmcs_read32(VMCS_ENTRY_CTLS);

	vmcs_write(VMCS_GUEST_EFER, active ? efer | EFER_LMA : efer & ~EFER_LMA);
	vmcs_write(VMCS_ENTRY_CTLS, active ? ctls | ENTRY_IA32E_GUEST : ctls & ~ENTRY_IA32E_GUEST);
}

static enum exit_action set_cr0(struct vcpu *v, uint64_t new)
{
	uint64_t old = guest_cr0(), cr4 = guest_cr4(), efer = vmcs_read(VMCS_GUEST_EFER), changed;

	/* Reserved bits are ignored in the lower half and illegal in the upper one. */
	if (new >> 32 || ((new &CR0_PG) && !(new &CR0_PE)) || ((new &CR0_NW) && !(new &CR0_CD)))
		return exit_gp(v);
	new = (new &CR0_DEFINED) | CR0_ET;
	changed = old ^ new;
	if ((changed & CR0_PG) && !paging_change_is_legal(new, cr4, efer))
		return exit_gp(v);
	if ((new &CR0_PG) && (changed & CR0_PDPTE_BITS) && (cr4 & CR4_PAE) && !(efer & EFER_LME) &&
	    !load_pdptes(v))
		return exit_gp(v);
	/*
	 * VMX needs NE. CD and NW are for the guest's eyes: VM entry and exit leave the real ones
	 * alone, and a guest must not turn off the cache of the host.
	 */
	vmcs_write(VMCS_CR0_SHADOW, new);
	vmcs_write(VMCS_GUEST_CR0, (new & ~(CR0_CD | CR0_NW)) | CR0_NE);
	if (changed & CR0_PG) {
		follow_paging(new, efer);
		vmx_flush_vpid(v->vpid);
	}
	return RESUME_NEXT;
}

static enum exit_action set_cr4(struct vcpu *v, uint64_t new)
{
	uint64_t changed = guest_cr4() ^ new, efer = vmcs_read(VMCS_GUEST_EFER);
	bool paging = guest_cr0() & CR0_PG;

	/* VMXE, SMXE and what else CPUID hides are reserved. */
	if (new & ~guest_cpu()->cr4)
		return exit_gp(v);
	if ((efer & EFER_LMA) && !(new &CR4_PAE))
		return exit_gp(v);
	if ((changed & new &CR4_PCIDE) &&
	    (!(efer & EFER_LMA) || (vmcs_read(VMCS_GUEST_CR3) & CR3_PCID_MASK)))
		return exit_gp(v);
	if (paging && (new &CR4_PAE) && !(efer & EFER_LMA) && (changed & CR4_PDPTE_BITS) &&
	    !load_pdptes(v))
		return exit_gp(v);
	v->cr4_guest = new;
	vmcs_write(VMCS_CR4_SHADOW, new);
	vmcs_write(VMCS_GUEST_CR4, new | CR4_VMXE);
	if (changed & CR4_TLB_BITS)
		vmx_flush_vpid(v->vpid);
	return RESUME_NEXT;
}

/* The task priority of the local APIC; without one, a register of four bits. */
static enum exit_action set_cr8(struct vcpu *v, uint64_t new)
{
	if (new & ~0xfUL)
		return exit_gp(v);
	if (v->lapic)
		lapic_set_cr8(v, new);
	else
		v->cr8 = (uint8_t) new;
	return RESUME_NEXT;
}

static enum exit_action mov_to_cr(struct vcpu *v, unsigned int cr, unsigned int reg)
{
	uint64_t value = vcpu_reg(v, reg);

	if (!vcpu_in_64bit(v))
		value = (uint32_t)value;
	switch (cr) {
	case 0:
		return set_cr0(v, value);
	case 4:
		return set_cr4(v, value);
	case 8:
		return set_cr8(v, value);
	default: /* CR3 does not exit: EPT is always on */
		return exit_unhandled(v);
	}
}

enum exit_action exit_cr(struct vcpu *v)
{
	uint64_t qual = vmcs_read(VMCS_EXIT_QUAL), low;
	unsigned int cr = cr_qual_number(qual), reg = cr_qual_gpr(qual);

	switch (cr_qual_access(qual)) {
	case CR_ACCESS_TO_CR:
		return mov_to_cr(v, cr, reg);
	case CR_ACCESS_FROM_CR:
		if (cr != 8)
			break;
		vcpu_set_reg(v, reg, v->lapic ? lapic_cr8(v->lapic) : v->cr8);
		return RESUME_NEXT;
	case CR_ACCESS_CLTS:
		return set_cr0(v, guest_cr0() & ~CR0_TS);
	case CR_ACCESS_LMSW:
		/* Loads PE, MP, EM and TS, but cannot clear PE. */
		low = cr_qual_lmsw_source(qual) & 0xf;
		return set_cr0(v, (guest_cr0() & ~(CR0_MP | CR0_EM | CR0_TS)) | low);
	}
	return exit_unhandled(v);
}

/* SDM, "XSETBV": what may be set, and what only together. */
static bool xcr0_is_legal(uint64_t xcr0)
{
	const uint64_t x87 = 1, sse = 2, avx = 4, avx512 = 0xe0;

	if ((xcr0 & ~guest_cpu()->xcr0) || !(xcr0 & x87))
		return false;
	if ((xcr0 & avx) && !(xcr0 & sse))
		return false;
	return !(xcr0 & avx512) || ((xcr0 & avx512) == avx512 && (xcr0 & avx));
}

enum exit_action exit_xsetbv(struct vcpu *v)
{
	uint64_t value = v->regs[RDX] << 32 | (uint32_t)v->regs[RAX];

	/* The CPU checks these two first; an emulator may not. */
	if (!(v->cr4_guest & CR4_OSXSAVE))
		return exit_ud(v);
	if (vcpu_cpl(v) != 0 || (uint32_t)v->regs[RCX] != 0 || !xcr0_is_legal(value))
		return exit_gp(v);
	v->xcr0 = value;
	xsetbv(0, value); /* the vCPU is loaded: the register holds the guest's */
	return RESUME_NEXT;
}
