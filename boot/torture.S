/* SPDX-License-Identifier: MIT */
/*
 * NMI torture: what C cannot say. None of it counts trap_depth or goes back to a target: whatever the
 * state is between two instructions, that is what the injected handler finds.
 */
#include "arch/regs.h"
#include "arch/stack.h"
#include "boot/torture_vectors.h"

#define TF 0x100
#define FLAGS 0xcd5		/* CF, PF, AF, ZF, SF, DF, OF */

	.text
	ON_STACK torture_on_stack, torture_all

/* The first trap comes behind the CALL: POPFQ that sets TF has none yet (SDM, "Single-Step Exception Condition"). */
	.globl torture_stepped
	.type torture_stepped, @function
torture_stepped:
	pushq %rbp
	movq %rsp, %rbp
	pushfq
	orl $TF, (%rsp)
	popfq
	call *%rsi
	pushfq
	andl $~TF, (%rsp)
	popfq
	popq %rbp
	ret
	.size torture_stepped, . - torture_stepped

/*
 * #DB. INT 2 here is an NMI between the two instructions: the same gate and stub, depth, target, CR3 and
 * registers; only its frame's RIP and RSP are ours. INT clears TF, and IRETQ brings back the interrupted code's.
 */
	.globl torture_debug
	.type torture_debug, @function
torture_debug:
	decq %gs:torture_countdown	/* IRETQ brings the flags back */
	jnz 1f
	pushq $0
	pushq $0
	.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\reg
	.endr
	cld
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	call torture_step
	movq %rbp, %rsp
	.irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	popq %\reg
	.endr
	cmpl $2, (%rsp)
	leaq 16(%rsp), %rsp
	jne 1f
	int $2
1:	iretq
	.size torture_debug, . - torture_debug

/* A delivered exception or INT clears TF: set it again, so that the stub is stepped through from its first instruction. */
.macro STEPPED name, vector
	.globl torture_\name
	.type torture_\name, @function
torture_\name:
	pushfq
	orl $TF, (%rsp)
	popfq
	jmp trap_stubs + \vector * 16	/* STUB_SIZE of arch/x86/idt.c */
	.size torture_\name, . - torture_\name
.endm
	STEPPED nmi, 2
	STEPPED page_fault, 14
	STEPPED own, TORTURE_OWN

/* Every general register and flag has a value of its own, for some instructions. */
	.globl torture_registers
	.type torture_registers, @function
torture_registers:
	.irp reg, rbp, rbx, r12, r13, r14, r15
	pushq %\reg
	.endr
	n = 1
	.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14
	movq $0x1234567 * n, %\reg
	n = n + 1
	.endr
	movq %rsp, %r15
	pushfq
	orl $FLAGS, (%rsp)
	popfq
	nop
	nop
	nop
	pushfq
	n = 1
	.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14
	cmpq $0x1234567 * n, %\reg
	jne 1f
	n = n + 1
	.endr
	popq %rax
	andl $FLAGS, %eax
	xorl $FLAGS, %eax
	cmpq %rsp, %r15
	je 2f
	pushq $0
1:	popq %rax
	movl $1, %eax
2:	cld
	.irp reg, r15, r14, r13, r12, rbx, rbp
	popq %\reg
	.endr
	ret
	.size torture_registers, . - torture_registers

	.section .note.GNU-stack, "", @progbits
