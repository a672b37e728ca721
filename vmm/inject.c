/* SPDX-License-Identifier: MIT */
/*
 * Events for the guest. One event a VM entry: what an exit interrupted goes first, then an
 * exception, an NMI, the highest interrupt; for what is left a window is opened.
 */
#include "vmm/inject.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "vmm/inject_rules.h"
#include "vmm/lapic.h"
#include "vmm/platform.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static void pend_irq(struct events *e, uint32_t vector)
{
	e->irq[vector >> 6 & 3] |= 1UL << (vector & 63);
	e->due = 0;
}

/*
 * The event being delivered gives way to an exception that does not combine with it. What
 * came from outside must not be lost; an exception or INT n comes again by itself, as
 * its instruction is executed again.
 */
static void postpone_reinject(struct events *e)
{
	uint32_t info = e->reinject_info;

	e->reinject_info = 0;
	switch (info & INTR_TYPE_MASK) {
	case INTR_TYPE_EXT_INT:
		pend_irq(e, info & INTR_INFO_VECTOR_MASK);
		break;
	case INTR_TYPE_NMI:
		e->nmi = true;
		e->due = 0;
		break;
	default:
		break;
	}
}

/* What the event that is on its way makes of a new exception; the former is taken back. */
static enum event_outcome displace(struct vcpu *v, enum event_class second)
{
	struct events *e = &v->events;
	enum event_outcome outcome = OUTCOME_SERIAL;

	if (e->reinject_info & INTR_INFO_VALID) {
		outcome = event_combine(event_classify(e->reinject_info), second);
		postpone_reinject(e);
	} else if (e->exception) {
		outcome = event_combine(event_classify(event_exception_info(e->vector, true)),
					second);
	}
	e->exception = false;
	if (outcome == OUTCOME_TRIPLE_FAULT)
		vm_stop(v->vm, VERDICT_STOPPED, "triple-fault", 0);
	return outcome;
}

static void pend_exception(struct vcpu *v, uint8_t vector, bool has_error_code, uint32_t error)
{
	struct events *e = &v->events;

	switch (displace(v, event_classify(event_exception_info(vector, true)))) {
	case OUTCOME_TRIPLE_FAULT:
		return;
	case OUTCOME_DOUBLE_FAULT:
		vector = VEC_DF;
		has_error_code = true;
		error = 0;
		break;
	case OUTCOME_SERIAL:
		break;
	}
	e->exception = true;
	e->due = 0;
	e->vector = vector;
	e->has_error_code = has_error_code;
	e->error_code = error;
}

void inject_exception(struct vcpu *v, uint8_t vector)
{
	pend_exception(v, vector, false, 0);
}

void inject_exception_code(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
	pend_exception(v, vector, true, error_code);
}

void inject_page_fault(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
	v->cr2 = cr2;
	pend_exception(v, VEC_PF, true, error_code);
}

void inject_reflect(struct vcpu *v, uint32_t info, uint32_t error, uint32_t len)
{
	struct events *e = &v->events;

	switch (displace(v, event_classify(info))) {
	case OUTCOME_TRIPLE_FAULT:
		return;
	case OUTCOME_DOUBLE_FAULT:
		pend_exception(v, VEC_DF, true, 0);
		return;
	case OUTCOME_SERIAL:
		break;
	}
	/* As it came: RF in the saved RFLAGS is right already, INT1 keeps its type and length. */
	e->reinject_info = info & ~INTR_INFO_NMI_UNBLOCK;
	e->due = 0;
	e->reinject_error = error;
	e->reinject_len = len;
}

void inject_nmi(struct vcpu *v)
{
	v->events.nmi = true;
	v->events.due = 0;
}

void inject_irq(struct vcpu *v, uint8_t vector)
{
	pend_irq(&v->events, vector);
}

void inject_note_vectoring(struct vcpu *v)
{
	uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
	struct events *e = &v->events;

	if (likely(!(info & INTR_INFO_VALID)))
		return;
	e->due = 0;
	e->reinject_info = info & (INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_TYPE_MASK |
				   INTR_INFO_VECTOR_MASK);
	if (info & INTR_INFO_ERROR_CODE)
		e->reinject_error = vmcs_read32(VMCS_IDT_VECTORING_ERROR);
	if (event_has_length(info))
		e->reinject_len = vmcs_read32(VMCS_EXIT_INSN_LEN);
	/*
	 * SDM, "Information for VM exits that occur during event delivery": the NMI had set the
	 * blocking already; with it set, the VM entry that injects the NMI again would fail.
	 */
	if ((info & INTR_TYPE_MASK) == INTR_TYPE_NMI) {
		uint32_t blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);

		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked & ~BLOCKED_BY_NMI);
	}
}

/*
 * SDM, "Checks on VM-Entry Control Fields": no error code with CR0.PE = 0, where exceptions have none; Bochs reports
 * one when an exit interrupts the delivery of such an exception.
 */
static void enter_reinject(struct events *e)
{
	if (!(vmcs_read(VMCS_GUEST_CR0) & CR0_PE))
		e->reinject_info &= ~INTR_INFO_ERROR_CODE;
	if (e->reinject_info & INTR_INFO_ERROR_CODE)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR, e->reinject_error);
	if (event_has_length(e->reinject_info))
		vmcs_write(VMCS_ENTRY_INSN_LEN, e->reinject_len);
	vmcs_write(VMCS_ENTRY_INTR_INFO, e->reinject_info);
	e->reinject_info = 0;
}

static void enter_exception(struct events *e)
{
	uint32_t info = event_exception_info(e->vector, vmcs_read(VMCS_GUEST_CR0) & CR0_PE);

	if (info & INTR_INFO_ERROR_CODE)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR, e->has_error_code ? e->error_code : 0);
	/* SDM, "Injected events": the CPU pushes RFLAGS as the VMCS has them; RF is ours to set. */
	if (event_sets_rf(e->vector))
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	vmcs_write(VMCS_ENTRY_INTR_INFO, info);
	e->exception = false;
}

#define IRQ_OF_PIC 256 /* the PIC gives its vector when it is acknowledged */

/*
 * The interrupt to be injected next, -1 if none: those that no APIC stands before come first. What a local APIC has that
 * the CPU serves the CPU delivers, behind these: it holds its own back while a window is open.
 */
static int next_irq(const struct vcpu *v)
{
	int irq = event_highest(v->events.irq);

	if (irq < 0 && platform_interrupts(v) && (!v->lapic || lapic_takes_extint(v->lapic)))
		irq = IRQ_OF_PIC;
	return irq < 0 && v->lapic ? lapic_injects(v->lapic) : irq;
}

static void enter_irq(struct vcpu *v, uint32_t irq)
{
	uint64_t *word = &v->events.irq[irq >> 6 & 3], bit = 1UL << (irq & 63);
	bool of_pic = irq == IRQ_OF_PIC;

	if (of_pic)
		irq = platform_ack(v);
	vmcs_write(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_EXT_INT | irq);
	if (of_pic)
		return;
	if (*word & bit)
		*word &= ~bit;
	else
		lapic_take(v->lapic, irq);
}

/* Puts one event into the VMCS; false if none may be delivered now. */
static bool enter_one(struct vcpu *v, int irq, uint32_t blocked, uint64_t rflags)
{
	struct events *e = &v->events;

	if (e->reinject_info & INTR_INFO_VALID) {
		enter_reinject(e);
		return true;
	}
	if (e->exception) {
		enter_exception(e);
		return true;
	}
	if (e->nmi && event_nmi_open(blocked)) {
		vmcs_write(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | VEC_NMI);
		e->nmi = false;
		return true;
	}
	if (irq >= 0 && event_irq_open(blocked, rflags)) {
		enter_irq(v, (uint32_t)irq);
		return true;
	}
	return false;
}

/* Sets the window-exiting controls to @windows, if they are not that already. */
static void set_windows(struct events *e, uint32_t windows)
{
	const uint32_t both = PROC_NMI_WINDOW_EXIT | PROC_INTR_WINDOW_EXIT;

	if (e->windows == windows)
		return;
	vmcs_write(VMCS_PROC_CTLS, (vmcs_read32(VMCS_PROC_CTLS) & ~both) | windows);
	e->windows = windows;
}

void vcpu_deliver_events(struct vcpu *v)
{
	struct events *e = &v->events;
	uint32_t blocked, windows = 0;
	int irq = next_irq(v);

	if (irq < 0 && !e->nmi && !e->exception && !e->reinject_info) {
		set_windows(e, 0);
		return;
	}
	blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);
	if (enter_one(v, irq, blocked, vmcs_read(VMCS_GUEST_RFLAGS)))
		irq = next_irq(v);
	if (irq >= 0)
		windows |= PROC_INTR_WINDOW_EXIT;
	/*
	 * Some CPUs hold an NMI window closed in the shadow of STI and others do not; on the
	 * latter it would open at once, again and again. IF is set there: the interrupt window
	 * comes right after the shadow.
	 */
	if (e->nmi)
		windows |= blocked & BLOCKED_BY_STI ? PROC_INTR_WINDOW_EXIT : PROC_NMI_WINDOW_EXIT;
	set_windows(e, windows);
}

void vcpu_withdraw_events(struct vcpu *v)
{
	uint32_t info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	struct events *e = &v->events;

	if (!(info & INTR_INFO_VALID))
		return;
	e->reinject_info = info;
	e->reinject_error = vmcs_read32(VMCS_ENTRY_EXCEPTION_ERROR);
	e->reinject_len = vmcs_read32(VMCS_ENTRY_INSN_LEN);
	e->due = 0;
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
}

bool inject_can_wake(const struct vcpu *v)
{
	const struct events *e = &v->events;

	if (e->exception || (e->reinject_info & INTR_INFO_VALID))
		return true;
	/* The shadow of STI or MOV SS ends with HLT itself. */
	if (e->nmi && !(vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_BY_NMI))
		return true;
	return (next_irq(v) >= 0 || (v->lapic && lapic_pending(v->lapic) >= 0)) &&
	       (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF);
}
