/* SPDX-License-Identifier: MIT */
/* The flushes that must be written in assembly: where each CALL and RET counts. */
	.text
	.globl rsb_fill
	.type rsb_fill, @function
rsb_fill:
	movl $16, %eax			/* two CALLs a turn: 32, which no CPU's buffer exceeds */
1:	call 3f
2:	pause				/* where a RET is predicted to go: nothing happens here */
	lfence
	jmp 2b
3:	call 5f
4:	pause
	lfence
	jmp 4b
5:	decl %eax
	jnz 1b
	addq $32 * 8, %rsp
	lfence				/* no RET behind us before the loop is known to have ended */
	ret
	.size rsb_fill, . - rsb_fill

/*
 * HOST_RIP of a vCPU whose every exit is flushed (asi/mitigate.c): before the first RET, which the guest
 * could have predicted. Its registers are still its own; the stack is the vCPU's, LOCAL.
 */
	.globl vmx_exit_flush
	.type vmx_exit_flush, @function
vmx_exit_flush:
	pushq %rax
	pushq %rcx
	pushq %rdx
	call rsb_fill
	cmpb $0, mitigation_ibpb(%rip)
	je 1f
	movl $0x49, %ecx		/* IA32_PRED_CMD */
	movl $1, %eax			/* IBPB */
	xorl %edx, %edx
	wrmsr
1:	popq %rdx
	popq %rcx
	popq %rax
	jmp vmx_exit
	.size vmx_exit_flush, . - vmx_exit_flush

	.section .note.GNU-stack, "", @progbits
