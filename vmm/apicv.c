/* SPDX-License-Identifier: MIT */
/* See vmm/apicv.h. */
#include "vmm/apicv.h"
#include "arch/vmx.h"
#include "vmm/lapic_internal.h"
#include "vmm/vcpu.h"
#include "vmm/vmoptions.h"

bool apicv_is_wanted(const struct vm_options *o)
{
	if (!o->apic || o->apicv == VM_APICV_OFF || !vmx_has_apicv())
		return false;
	return o->apicv == VM_APICV_ON || vmx_has_posted_interrupts();
}

/* Turns on the bits @on of the control word @field and @off off. */
static void change_controls(uint32_t field, uint32_t on, uint32_t off)
{
	vmcs_write(field, (vmcs_read32(field) & ~off) | on);
}

static void set_controls(const struct vcpu *v)
{
	const uint32_t cr8 = PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT;

	/* With a TPR shadow CR8 is that of the page of registers, and none of the machine's. */
	if (v->lapic->is_virtual) {
		change_controls(VMCS_PROC_CTLS, PROC_TPR_SHADOW, cr8);
		change_controls(VMCS_PROC2_CTLS, PROC2_VIRTUAL_X2APIC, 0);
		vmcs_write(VMCS_MSR_BITMAP, v->x2apic_msr_bitmap.v);
	} else {
		change_controls(VMCS_PROC_CTLS, cr8, PROC_TPR_SHADOW);
		change_controls(VMCS_PROC2_CTLS, 0, PROC2_VIRTUAL_X2APIC);
		vmcs_write(VMCS_MSR_BITMAP, v->msr_bitmap.v);
	}
}

void apicv_update(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	bool want = v->x2apic_msr_bitmap.v && lapic_enabled(l) && lapic_is_x2(l) &&
		    (l->regs[LAPIC_SVR][0] & SVR_ENABLE);

	if (want == l->is_virtual)
		return;
	l->is_virtual = want;
	l->stale = want ? LAPIC_STALE_STATUS | LAPIC_STALE_TMR : 0;
	set_controls(v);
	v->events.due = 0; /* who delivers what is pending has changed */
}

/* SDM, "EOI-Exit Bitmap": I/O APICs hear of the end of level-triggered interrupts. */
static void sync_eoi_exits(const struct lapic *l)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t low = l->regs[LAPIC_TMR + 2 * i][0],
			 high = l->regs[LAPIC_TMR + 2 * i + 1][0];

		vmcs_write(VMCS_EOI_EXIT_BITMAP0 + 2 * i, high << 32 | low);
	}
}

/* SDM, "Guest Interrupt Status": RVI and SVI, which the CPU keeps in step with IRR and ISR while it changes these. */
void apicv_sync(struct lapic *l)
{
	uint32_t in_service = lapic_in_service(l);

	if (l->stale & LAPIC_STALE_TMR)
		sync_eoi_exits(l);
	vmcs_write(VMCS_GUEST_INTR_STATUS, in_service << 8 | lapic_requested(l));
	l->stale = 0;
}
