/* SPDX-License-Identifier: MIT */
/* See live.h. Nothing between loading and storing changes a register. */
	.text
	.globl live_run
live_run:
	.irp reg, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
	mov %rsp, live_rsp

	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu live_in + 128 + 16 * \n, %xmm\n
	.endr
	mov live_in, %rax
	mov live_in + 8, %rcx
	mov live_in + 16, %rdx
	mov live_in + 24, %rbx
	mov live_in + 40, %rbp
	mov live_in + 48, %rsi
	mov live_in + 56, %rdi
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov live_in + 8 * \n, %r\n
	.endr

	out %al, $0x80
1:	decq live_spins
	jnz 1b
	cmpb $0, live_halts
	je 2f
	sti
	hlt
	cli
2:	wbinvd

	mov %rax, live_out
	mov %rcx, live_out + 8
	mov %rdx, live_out + 16
	mov %rbx, live_out + 24
	mov %rsp, live_out + 32
	mov %rbp, live_out + 40
	mov %rsi, live_out + 48
	mov %rdi, live_out + 56
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov %r\n, live_out + 8 * \n
	.endr
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu %xmm\n, live_out + 128 + 16 * \n
	.endr

	.irp reg, r15, r14, r13, r12, rbp, rbx
	pop %\reg
	.endr
	ret

	.bss
	.align 16
	.globl live_in, live_out, live_rsp, live_spins, live_halts
live_in:
	.skip 128 + 256
live_out:
	.skip 128 + 256
live_rsp:
	.skip 8
live_spins:
	.skip 8
live_halts:
	.skip 1

	.section .note.GNU-stack, "", @progbits
