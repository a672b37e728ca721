/* SPDX-License-Identifier: MIT */
/*
 * Exits by events rather than instructions: exceptions, NMIs, interrupts, windows, the
 * preemption timer, and what ends a VM.
 */
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"
#include "vmm/platform.h"
#include "vmm/report.h"
#include "vmm/vm.h"

/* BLD and RTM are active low in DR6, but not in the exit qualification. */
#define DR6_B0_B3	0x0000000fUL
#define DR6_BLD		0x00000800UL
#define DR6_RTM		0x00010000UL
#define DEBUG_QUAL_MASK 0x0001680fUL /* B0-B3, BLD, BD, BS, RTM */
#define DR7_GD		0x00002000UL

enum exit_action exit_stop(struct vcpu *v, const char *reason)
{
	report_stop(v, reason);
	vm_stop(v->vm, VERDICT_STOPPED, reason, 0);
	return STOP_VM;
}

enum exit_action exit_gp(struct vcpu *v)
{
	inject_exception_code(v, VEC_GP, 0);
	return RESUME;
}

enum exit_action exit_ud(struct vcpu *v)
{
	inject_exception(v, VEC_UD);
	return RESUME;
}

/*
 * SDM, "Exit qualification for debug exceptions": the exit comes before DR6 and DR7.GD change.
 * DR6 is not in the VMCS: the register itself holds the guest's while its vCPU is loaded.
 */
static void update_debug_registers(void)
{
	uint64_t qual = vmcs_read(VMCS_EXIT_QUAL) & DEBUG_QUAL_MASK;
	uint64_t dr6 = (read_dr6() & ~DR6_B0_B3) | DR6_FIXED;

	write_dr6((dr6 | qual) ^ (qual & (DR6_BLD | DR6_RTM)));
	vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
}

/*
 * SDM, "Checks on Guest Non-Register State": in the shadow of STI or MOV SS, and with TF set, VM
 * entry demands a pending single step; the exit has just taken it out.
 */
static void satisfy_entry_check(void)
{
	const uint32_t shadow = BLOCKED_BY_STI | BLOCKED_BY_MOV_SS;

	if ((vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY) & shadow) &&
	    (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		vmcs_write(VMCS_GUEST_PENDING_DBG,
			   vmcs_read(VMCS_GUEST_PENDING_DBG) | PENDING_DBG_BS);
}

/*
 * #DB and #AC exit only so that their delivery, if it raises them again for ever, cannot hold
 * the CPU (CVE-2015-8104, CVE-2015-5307). They go on to the guest, so that NMI
 * unblocking by a faulting IRET stays as it is (SDM, "Resuming guest software after
 * handling an exception").
 */
enum exit_action exit_exception_nmi(struct vcpu *v)
{
	uint32_t info = vmcs_read32(VMCS_EXIT_INTR_INFO);
	uint32_t vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_TYPE_MASK) == INTR_TYPE_NMI) {
		/* It has not been handled, and further NMIs are blocked until an IRET. */
		int_nmi();
		return RESUME;
	}
	if (vector == VEC_MC) {
		/* As an NMI; the handler panics if it cannot go on, and the RIP that it speaks of is the guest's. */
		int_mc();
		return RESUME;
	}
	if (vector != VEC_DB && vector != VEC_AC)
		return exit_unhandled(v);
	/* INT1 is #DB too, as a privileged software exception; it leaves DR6 alone. */
	if (vector == VEC_DB && (info & INTR_TYPE_MASK) == INTR_TYPE_HW_EXCEPTION)
		update_debug_registers();
	satisfy_entry_check();
	inject_reflect(v, info, info & INTR_INFO_ERROR_CODE ? vmcs_read32(VMCS_EXIT_INTR_ERROR) : 0,
		       vmcs_read32(VMCS_EXIT_INSN_LEN));
	return RESUME;
}

/* "Acknowledge interrupt on exit" is off: the interrupt is still pending and comes now. */
enum exit_action exit_external_interrupt(struct vcpu *v)
{
	(void)v;
	irq_window();
	return RESUME;
}

/* The way is free: vcpu_deliver_events takes the next event and closes the window. */
enum exit_action exit_interrupt_window(struct vcpu *v)
{
	(void)v;
	return RESUME;
}

/* It bounds the guest's turn; vcpu_run looks what time it is. */
enum exit_action exit_preemption_timer(struct vcpu *v)
{
	(void)v;
	return RESUME;
}

/* SDM, "APIC-Write Emulation": behind the instruction, with its value in the page of registers. */
enum exit_action exit_apic_write(struct vcpu *v)
{
	if (!lapic_written(v, (unsigned int)vmcs_read(VMCS_EXIT_QUAL) & 0xfff))
		return exit_unhandled(v);
	return RESUME;
}

/*
 * SDM, "EOI Virtualization": behind the instruction; the CPU has taken the vector that ends out of ISR. A guest that also
 * sends itself an interrupt of that vector, which leaves TMR as it is, ends that of the I/O APIC early: its own.
 */
enum exit_action exit_virtual_eoi(struct vcpu *v)
{
	platform_eoi(v->vm, (uint8_t)vmcs_read(VMCS_EXIT_QUAL));
	return RESUME;
}

/* Hardware task switches have not been seen in any guest; IA-32e mode has none. */
enum exit_action exit_task_switch(struct vcpu *v)
{
	return exit_stop(v, "task-switch");
}

enum exit_action exit_triple_fault(struct vcpu *v)
{
	return exit_stop(v, "triple-fault");
}

/* The guest's state, as the guest made it, is one that VM entry refuses; or there was a machine check. */
enum exit_action exit_entry_failure(struct vcpu *v)
{
	/* Whether it was VMLAUNCH or VMRESUME that failed is not known any more: this VM ends. */
	if (v->exit_reason == EXIT_REASON_ENTRY_MACHINE_CHECK)
		int_mc();
	return exit_stop(v, "entry-failure");
}

enum exit_action exit_unhandled(struct vcpu *v)
{
	return exit_stop(v, "unhandled");
}
