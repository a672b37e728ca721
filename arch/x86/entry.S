/* SPDX-License-Identifier: MIT */
/*
 * The stubs of all 256 vectors. Between two of their instructions anything may
 * happen again (NMI), so the order is part of the ASI state machine:
 *
 *   depth goes up before any C code runs: a fault that leaves the restricted space
 *   then sticks until the outermost return;
 *   depth goes down before asi_intr_exit() goes back to the target: an NMI in
 *   between finds depth 0 and goes back by itself, which is harmless twice.
 *
 * From the vector to the increment, and from the decrement to IRET, a page fault cannot be
 * served: per-CPU data, text and descriptor tables are mapped in every space, and the stack in use is
 * in the space in use (arch/stack.h). All vectors but #DF stay on the stack that they interrupt: what is
 * saved here are perhaps a guest's registers, and that stack is this guest's own.
 */
	.text
	.altmacro

.macro STUB n
	.balign 16
	/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code. */
	.if \n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30
	.else
	pushq $0
	.endif
	pushq $\n
	jmp trap_common
.endm

	.balign 16
	.globl trap_stubs
trap_stubs:
	n = 0
	.rept 256
	STUB %n
	n = n + 1
	.endr

	.globl trap_common
trap_common:
	incl %gs:trap_depth
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	call trap_dispatch
	movq %rbp, %rsp
	decl %gs:trap_depth
	jnz 1f
	andq $-16, %rsp
	call asi_intr_exit
	movq %rbp, %rsp
1:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp		/* vector, error code */
	iretq

	.section .note.GNU-stack, "", @progbits
