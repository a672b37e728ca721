/* SPDX-License-Identifier: MIT */
/* See busy.h. */
	.text
	.globl pattern_hold
pattern_hold:
	.irp reg, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
	push %rdi			/* what all is compared with */
	mov %rsi, %rcx

	.set k, 0
	.irp nr, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	lea 100 + \nr(%rdi), %rax
	movq %rax, %xmm\nr
	punpcklqdq %xmm\nr, %xmm\nr
	.endr
	.irp reg, rax, rbx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.set k, k + 1
	lea k(%rdi), %\reg
	.endr

1:	dec %rcx
	jns 1b

	xor %ecx, %ecx
	xor (%rsp), %rdi
	or %rdi, %rcx
	.set k, 0
	.irp reg, rax, rbx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.set k, k + 1
	sub $k, %\reg
	xor (%rsp), %\reg
	or %\reg, %rcx
	.endr
	.irp nr, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.rept 2
	movq %xmm\nr, %rax
	psrldq $8, %xmm\nr
	sub $(100 + \nr), %rax
	xor (%rsp), %rax
	or %rax, %rcx
	.endr
	.endr

	mov %rcx, %rax
	pop %rdi
	.irp reg, r15, r14, r13, r12, rbp, rbx
	pop %\reg
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
