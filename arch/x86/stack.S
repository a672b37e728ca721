/* SPDX-License-Identifier: MIT */
/* The way back from a stack that ON_STACK has called a function on (arch/stack.h). */
#include "arch/regs.h"
#include "arch/stack.h"

	.text
	/*
	 * Leaves the stack in use for the one that it was entered from, wherever RSP is on it; RAX is what
	 * the call returns. In the unrestricted space: the stack it goes to may be sensitive.
	 */
	.globl stack_leave
	.type stack_leave, @function
stack_leave:
	movq %fs:STACK_TOP, %rbx
	movq -8(%rbx), %rsp
	movq %rax, %rbx
	popq %rdx
	movl %edx, %eax
	shrq $32, %rdx
	movl $MSR_FS_BASE, %ecx
	wrmsr
	movq %rbx, %rax
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size stack_leave, . - stack_leave

	.section .note.GNU-stack, "", @progbits
