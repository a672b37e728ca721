/* SPDX-License-Identifier: MIT */
/*
 * Events for the guest: pend (remember), inject (put into the VMCS for the next VM
 * entry), deliver (the CPU does it). SDM, "Event injection" and "Information for VM
 * exits that occur during event delivery".
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

struct events {
	/*
	 * TSC from which on the exit path has more to do for this vCPU than to enter it again: the end of
	 * its turn, or 0 (at once) when an event has been pended or the vCPU has halted or stopped.
	 */
	uint64_t due;
	bool exception; /* one is pending */
	bool has_error_code;
	uint8_t vector;
	uint32_t error_code;
	bool nmi;	 /* one is pending */
	uint64_t irq[4]; /* pending vectors, the highest goes first */
	/* What was being delivered when the exit came: goes first again. */
	uint32_t reinject_info; /* VM-entry interruption information; bit 31: valid */
	uint32_t reinject_error;
	uint32_t reinject_len;
	uint32_t windows; /* window-exiting controls that are set in the VMCS */
};

/*
 * Pends an exception; combines it with one being delivered into #DF, or into a triple fault, which
 * stops the VM (vm->verdict; the handler need not know).
 */
void inject_exception(struct vcpu *v, uint8_t vector);
void inject_exception_code(struct vcpu *v, uint8_t vector, uint32_t error_code);
/* #PF: also sets the guest's CR2. */
void inject_page_fault(struct vcpu *v, uint64_t cr2, uint32_t error_code);
/*
 * Gives the guest the exception that the exit at hand intercepted: @info, @error and @len as the
 * VM-exit interruption fields and the instruction length have them.
 */
void inject_reflect(struct vcpu *v, uint32_t info, uint32_t error, uint32_t len);
void inject_nmi(struct vcpu *v);
void inject_irq(struct vcpu *v, uint8_t vector);
/* Takes back what an exit interrupted (IDT-vectoring information). Once at the top of each exit. */
void inject_note_vectoring(struct vcpu *v);
/* Puts the first of what is pending into the VMCS, opens windows for the rest. Before a VM entry. */
void vcpu_deliver_events(struct vcpu *v);
/* The VM entry that vcpu_deliver_events() was for did not take place: takes its event back. The vCPU is loaded. */
void vcpu_withdraw_events(struct vcpu *v);
/* Whether something pending would wake the vCPU from HLT. The vCPU is loaded. */
bool inject_can_wake(const struct vcpu *v);
