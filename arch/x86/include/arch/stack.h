/* SPDX-License-Identifier: MIT */
/*
 * Stacks and their canaries. FS base always points to the struct stack of the stack in use, so the compiler
 * finds the canary at %fs:0 (-mstack-protector-guard in the Makefile). There are four kinds:
 *
 *	boot stack	sensitive	hv_main(), until hv_serve()
 *	base stack	sensitive	scheduling, making and reporting VMs; one for each CPU
 *	vCPU stack	LOCAL		turns of one vCPU: all that runs restricted
 *	#DF stack	every space	a double fault, which is the end; it has no canary of its own
 *
 * Interrupts, NMIs and machine checks run on the stack that they interrupt, with its canary. So the
 * registers of a guest are never spilled on anything but its own LOCAL stack (decision 0003).
 */
#pragma once

/* Offsets in struct stack. */
#define STACK_CANARY 0
#define STACK_TOP    8

#ifdef __ASSEMBLER__
/* clang-format off */
/*
 * Defines @name(argument, struct stack *): calls @function(argument) on that stack and returns what it
 * returns. A direct call: predictors that a guest has trained are not asked. At each instruction RSP is a
 * stack that is mapped, for NMIs. On the stack left, all callee-saved registers and FS base; at the top
 * of the new one, the link back: so stack_leave may be jumped to from any depth, too. The frame
 * pointers of both stacks form one chain, so that a backtrace goes through.
 */
.macro ON_STACK name, function
	.globl \name
	.type \name, @function
\name:
	pushq %rbp
	movq %rsp, %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movl $MSR_FS_BASE, %ecx
	rdmsr
	shlq $32, %rdx
	orq %rdx, %rax
	pushq %rax
	movq STACK_TOP(%rsi), %rbx
	movq %rsp, -8(%rbx)		/* the link */
	leaq -16(%rbx), %rsp
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
	wrmsr
	call \function
	jmp stack_leave
	.size \name, . - \name
.endm
/* clang-format on */
#else
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"
#include "lib/compiler.h"

struct stack {
	uint64_t canary;
	void *top; /* 16-byte aligned */
};

/* Makes @s the stack that ends at @top, with a new canary. Only a stack that no function returns on. */
void stack_init(struct stack *s, void *top);

/* That of this CPU outside of vCPUs: sensitive per-CPU memory. Once per CPU, after percpu_init. */
struct stack *stack_base_init(void);

/*
 * Not to be called: to be returned to by a trap, unrestricted. Ends the call that ON_STACK has made, as if
 * its function had returned; what is on the stack is given up.
 */
void stack_leave(void);

/* The stack in use. */
struct stack *stack_current(void);

/*
 * Whether @p lies on a stack that no restricted space maps: a boot stack or a base stack. Going into a
 * restricted space there, the next push would be a double fault.
 */
static inline bool stack_is_sensitive(const void *p)
{
	uint64_t va = (uint64_t)p;

	return va - PERCPU_SENSITIVE_BASE < PML4_SLOT_SIZE || va >= IMAGE_BASE;
}

/* Called by the compiler's code in a function whose canary has changed while it ran. */
void __stack_chk_fail(void) __noreturn;
#endif
