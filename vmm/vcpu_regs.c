/* SPDX-License-Identifier: MIT */
/* The guest's registers and mode, for handlers; apart from vcpu.c, so that unit tests link the same code. */
#include "arch/regs.h"
#include "arch/vmx.h"
#include "vmm/vcpu.h"

uint64_t vcpu_reg(const struct vcpu *v, unsigned int reg)
{
	return reg == RSP ? vmcs_read(VMCS_GUEST_RSP) : v->regs[reg];
}

void vcpu_set_reg(struct vcpu *v, unsigned int reg, uint64_t value)
{
	if (reg == RSP)
		vmcs_write(VMCS_GUEST_RSP, value);
	else
		v->regs[reg] = value;
}

bool vcpu_in_64bit(const struct vcpu *v)
{
	(void)v;
	return (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) && (vmcs_read(VMCS_GUEST_CS_AR) & SEG_AR_L);
}

/* SDM, "Guest Register State": CPL is always the DPL of SS. */
unsigned int vcpu_cpl(const struct vcpu *v)
{
	(void)v;
	return (vmcs_read32(VMCS_GUEST_SS_AR) & SEG_AR_DPL_MASK) >> SEG_AR_DPL_SHIFT;
}
