/* SPDX-License-Identifier: MIT */
/* See vmm/apicv.h. */
#include "vmm/apicv.h"
#include "arch/vmx.h"
#include "vmm/lapic_internal.h"
#include "vmm/vm.h"
#include "vmm/vcpu.h"

bool apicv_is_wanted(const struct vm_options *o)
{
	if (!o->apic || o->apicv == VM_APICV_OFF || !vmx_has_apicv())
		return false;
	return o->apicv == VM_APICV_ON || vmx_has_posted_interrupts();
}

#define CR8_EXITS (PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT)

/* With a TPR shadow CR8 is that of the page of registers, and none of the machine's. */
static const struct {
	uint32_t proc, proc2;
} controls[] = {
	[LAPIC_SOFTWARE] = { CR8_EXITS, 0 },
	[LAPIC_TRAPPED] = { CR8_EXITS, PROC2_APIC_ACCESS },
	[LAPIC_XAPIC] = { PROC_TPR_SHADOW, PROC2_VIRTUAL_XAPIC },
	[LAPIC_X2APIC] = { PROC_TPR_SHADOW, PROC2_VIRTUAL_X2APIC },
};

static void set_controls(const struct vcpu *v)
{
	const uint32_t proc = PROC_TPR_SHADOW | CR8_EXITS,
		       proc2 = PROC2_VIRTUAL_XAPIC | PROC2_VIRTUAL_X2APIC;
	enum lapic_service s = v->lapic->service;

	vmcs_write(VMCS_PROC_CTLS, (vmcs_read32(VMCS_PROC_CTLS) & ~proc) | controls[s].proc);
	vmcs_write(VMCS_PROC2_CTLS, (vmcs_read32(VMCS_PROC2_CTLS) & ~proc2) | controls[s].proc2);
	vmcs_write(VMCS_MSR_BITMAP, s == LAPIC_X2APIC ? v->x2apic_msr_bitmap.v : v->msr_bitmap.v);
}

static enum lapic_service service_of(const struct vcpu *v)
{
	const struct lapic *l = v->lapic;
	bool serves = l->regs[LAPIC_SVR][0] & SVR_ENABLE;

	if (!lapic_enabled(l))
		return LAPIC_SOFTWARE;
	if (lapic_is_x2(l))
		return serves ? LAPIC_X2APIC : LAPIC_SOFTWARE;
	if (!v->vm->apic_page.v)
		return LAPIC_SOFTWARE;
	return serves ? LAPIC_XAPIC : LAPIC_TRAPPED;
}

/*
 * SDM, "Issues Pertaining to Page Size and TLB Management": a translation that a vCPU made for which the page is memory
 * may be used as such by one for which it is the local APIC. They share the EPT, so: vcpu_sync_ept() flushes.
 */
void apicv_load(struct vcpu *v)
{
	unsigned int cpu = this_cpu(cpu_number);
	bool *plain = &v->vm->apic_page_plain[cpu];

	if (v->lapic->service != LAPIC_TRAPPED && v->lapic->service != LAPIC_XAPIC) {
		*plain = true;
	} else if (*plain) {
		v->vm->ept_seen[cpu] = 0;
		*plain = false;
	}
}

void apicv_update(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	enum lapic_service service;

	if (!v->x2apic_msr_bitmap.v)
		return;
	service = service_of(v);
	if (service == l->service)
		return;
	l->service = service;
	l->is_virtual = service >= LAPIC_XAPIC;
	set_controls(v);
	if (l->is_virtual) {
		l->irr_words = l->isr_words = 0xff; /* the CPU does not keep them */
		apicv_tell_eoi_exits(l);
		apicv_tell_status(l);
	}
	apicv_load(v);
	v->events.due = 0; /* who delivers what is pending has changed */
}

void apicv_keep(struct lapic *l)
{
	for (unsigned int reg = 0; reg < LAPIC_REGS_NR; reg++)
		l->kept[reg] = l->regs[reg][0];
}

/* SDM, "EOI-Exit Bitmap": I/O APICs hear of the end of level-triggered interrupts. */
void apicv_tell_eoi_exits(const struct lapic *l)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t low = l->regs[LAPIC_TMR + 2 * i][0],
			 high = l->regs[LAPIC_TMR + 2 * i + 1][0];

		vmcs_write(VMCS_EOI_EXIT_BITMAP0 + 2 * i, high << 32 | low);
	}
}

/* SDM, "Guest Interrupt Status": RVI and SVI, which the CPU keeps in step with IRR and ISR while it changes these. */
void apicv_tell_status(const struct lapic *l)
{
	uint32_t in_service = lapic_in_service(l);

	vmcs_write(VMCS_GUEST_INTR_STATUS, in_service << 8 | lapic_requested(l));
}
