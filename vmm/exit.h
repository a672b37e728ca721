/* SPDX-License-Identifier: MIT */
/*
 * The handlers of VM exits. Each runs relaxed, on the vCPU's stack, and says what to do
 * next; RIP moves in vmm/run.c, which dispatches, and nowhere else.
 */
#pragma once
#include "vmm/vcpu.h"

enum exit_action {
	RESUME,	     /* enter the guest again where it stands */
	RESUME_NEXT, /* skip the instruction that exited first */
	STOP_VM,     /* vm_stop() has been called */
};

enum exit_action exit_cpuid(struct vcpu *v); /* exit_cpuid.c */
enum exit_action exit_rdmsr(struct vcpu *v); /* exit_msr.c */
enum exit_action exit_wrmsr(struct vcpu *v);
enum exit_action exit_io(struct vcpu *v); /* exit_io.c */
enum exit_action exit_cr(struct vcpu *v); /* exit_cr.c */
enum exit_action exit_xsetbv(struct vcpu *v);
enum exit_action exit_hlt(struct vcpu *v);   /* exit_insn.c */
enum exit_action exit_cache(struct vcpu *v); /* INVD, WBINVD */
enum exit_action exit_rdtsc(struct vcpu *v); /* RDTSC and RDTSCP */
enum exit_action exit_rdpmc(struct vcpu *v);
enum exit_action exit_vmx_insn(struct vcpu *v);	   /* any VMX instruction: #UD */
enum exit_action exit_hidden_insn(struct vcpu *v); /* MONITOR, MWAIT: #UD, CPUID hides them */
enum exit_action exit_pause(struct vcpu *v);
enum exit_action exit_hypercall(struct vcpu *v);     /* exit_hypercall.c */
enum exit_action exit_exception_nmi(struct vcpu *v); /* exit_event.c */
enum exit_action exit_external_interrupt(struct vcpu *v);
enum exit_action exit_interrupt_window(struct vcpu *v); /* also the NMI window */
enum exit_action exit_preemption_timer(struct vcpu *v);
enum exit_action exit_task_switch(struct vcpu *v);
enum exit_action exit_triple_fault(struct vcpu *v);
enum exit_action exit_entry_failure(struct vcpu *v); /* invalid guest state, MSR loading */
enum exit_action exit_ept_violation(struct vcpu *v); /* exit_ept.c */
enum exit_action exit_ept_misconfig(struct vcpu *v);
/* Local APICs that the CPU serves (apicv.h): what it did not do itself, and what it did that concerns others. */
enum exit_action exit_apic_access(struct vcpu *v); /* exit_ept.c */
enum exit_action exit_apic_write(struct vcpu *v);  /* exit_event.c */
enum exit_action exit_virtual_eoi(struct vcpu *v);
enum exit_action exit_unhandled(struct vcpu *v); /* exit_event.c: report, STOP_VM */
/* Reports and stops the VM; @reason is a word of docs/serial.md. */
enum exit_action exit_stop(struct vcpu *v, const char *reason);
/* #GP(0) and #UD for the guest. */
enum exit_action exit_gp(struct vcpu *v);
enum exit_action exit_ud(struct vcpu *v);
