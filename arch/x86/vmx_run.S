/* SPDX-License-Identifier: MIT */
/*
 * The way into the guest and out of it (arch/vmx_run.h). At the exit the CPU has loaded
 * HOST_CR3: the restricted space. Everything touched here is the vCPU and its own stack, both
 * LOCAL, since a page fault could not be served: the target of ASI is still set.
 */
#include "arch/regs.h"
#include "arch/stack.h"
#include "arch/vmx_run.h"

#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RBP 5
#define RSI 6
#define RDI 7

#define HOST_RSP_FIELD 0x6c14

.macro LOAD_GUEST_REGS
	movq VCPU_REG(RAX)(%rdi), %rax
	movq VCPU_REG(RCX)(%rdi), %rcx
	movq VCPU_REG(RDX)(%rdi), %rdx
	movq VCPU_REG(RBX)(%rdi), %rbx
	movq VCPU_REG(RBP)(%rdi), %rbp
	movq VCPU_REG(RSI)(%rdi), %rsi
	movq VCPU_REG(8)(%rdi), %r8
	movq VCPU_REG(9)(%rdi), %r9
	movq VCPU_REG(10)(%rdi), %r10
	movq VCPU_REG(11)(%rdi), %r11
	movq VCPU_REG(12)(%rdi), %r12
	movq VCPU_REG(13)(%rdi), %r13
	movq VCPU_REG(14)(%rdi), %r14
	movq VCPU_REG(15)(%rdi), %r15
	movq VCPU_REG(RDI)(%rdi), %rdi
.endm

	.text
	.globl vmx_run
	.type vmx_run, @function
vmx_run:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	/*
	 * The loop calls from one place of one stack, so HOST_RSP is new only when the vCPU is: then
	 * it has to be launched too. Whoever clears the VMCS clears VCPU_HOST_RSP with it.
	 */
	cmpq %rsp, VCPU_HOST_RSP(%rdi)
	jne 3f
1:	/* The guest's CR2 is mostly there still: only a page fault of ours changes it. */
	movq %cr2, %rax
	cmpq %rax, VCPU_CR2(%rdi)
	jne 4f
2:	LOAD_GUEST_REGS
	vmresume
	/* Behind both instructions: VMfail, the guest has not run. */
vmx_failed:
	xorl %ebp, %ebp
	call vmx_entry_failed
	ud2

3:	/* Cannot fail with a current VMCS; without one, VMLAUNCH fails as well. */
	movl $HOST_RSP_FIELD, %eax
	vmwrite %rsp, %rax
	movq %rsp, VCPU_HOST_RSP(%rdi)
	movq VCPU_CR2(%rdi), %rax
	movq %rax, %cr2
	LOAD_GUEST_REGS
	vmlaunch
	jmp vmx_failed
4:	movq VCPU_CR2(%rdi), %rax
	movq %rax, %cr2
	jmp 2b

	.globl vmx_exit
	.type vmx_exit, @function
vmx_exit:
	pushq %rdi
	movq 8(%rsp), %rdi
	popq VCPU_REG(RDI)(%rdi)
	movq %rax, VCPU_REG(RAX)(%rdi)
	movq %rcx, VCPU_REG(RCX)(%rdi)
	movq %rdx, VCPU_REG(RDX)(%rdi)
	movq %rbx, VCPU_REG(RBX)(%rdi)
	movq %rbp, VCPU_REG(RBP)(%rdi)
	movq %rsi, VCPU_REG(RSI)(%rdi)
	movq %r8, VCPU_REG(8)(%rdi)
	movq %r9, VCPU_REG(9)(%rdi)
	movq %r10, VCPU_REG(10)(%rdi)
	movq %r11, VCPU_REG(11)(%rdi)
	movq %r12, VCPU_REG(12)(%rdi)
	movq %r13, VCPU_REG(13)(%rdi)
	movq %r14, VCPU_REG(14)(%rdi)
	movq %r15, VCPU_REG(15)(%rdi)
	/* Before anything that can fault. */
	movq %cr2, %rax
	movq %rax, VCPU_CR2(%rdi)
	/* No value of the guest's stays for our code to speculate with; RBX to R15 are popped. */
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	popq %rdi
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size vmx_run, . - vmx_run

	ON_STACK vcpu_turns_on_stack, vcpu_turns
	ON_STACK idle_wait_on_stack, idle_wait

	.section .note.GNU-stack, "", @progbits
