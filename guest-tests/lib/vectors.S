/* SPDX-License-Identifier: MIT */
/* 256 entry points of 16 bytes each, all leading to trap_dispatch(struct trap_frame *). */
	.text
	.align 16
	.globl vector_stubs
vector_stubs:
	.set vector, 0
	.rept 256
	.align 16
	/* These push an error code themselves: #DF #TS #NP #SS #GP #PF #AC #CP. */
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
	.else
	pushq $0
	.endif
	pushq $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
	.irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	push %\reg
	.endr
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call trap_dispatch
	mov %rbp, %rsp
	.irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	pop %\reg
	.endr
	add $16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
