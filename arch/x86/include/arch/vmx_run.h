/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest as a function call that returns at the VM exit, and the layout that it
 * shares with struct vcpu (asserted in vmm/vcpu.c). Read by C and assembly.
 */
#pragma once

/* Offsets in struct vcpu: 16 registers by the SDM's numbers, then two words. */
#define VCPU_REG(n)   ((n)*8)
#define VCPU_CR2      128
#define VCPU_HOST_RSP 136

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include "lib/compiler.h"

struct vcpu;

/*
 * Runs the guest of the current VMCS with the registers of @v until it exits: then its registers are in
 * @v and in none of the CPU's. Interrupts off, critical section.
 */
void vmx_run(struct vcpu *v);
/* REQUIRED of vmm/run.c: VMfail instead (VMCS_INSTRUCTION_ERROR says why, if there is a current VMCS). */
void vmx_entry_failed(void) __noreturn;
/* HOST_RIP, plain and of a vCPU whose every exit is flushed (arch/x86/flush.S). Not to be called. */
void vmx_exit(void);
void vmx_exit_flush(void);

/* Calls vcpu_turns(@v) on @stack and comes back (arch/stack.h). */
struct stack;
void vcpu_turns_on_stack(struct vcpu *v, struct stack *stack);
/* REQUIRED of vmm/run.c: restricted in between, unrestricted on return. */
void vcpu_turns(struct vcpu *v);
#endif
