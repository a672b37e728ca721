/* SPDX-License-Identifier: MIT */
/*
 * garbage_run jumps into the page with interrupts on and all registers pointing into data that
 * may be destroyed. garbage_next is where every handler leads: it puts back what it can.
 */
	.text
	.globl garbage_run, garbage_next
garbage_run:
	mov $garbage_data + 0x8000, %eax
	.irp reg, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rsp
	mov %rax, %\reg
	.endr
	pushq $0x202
	popfq
	jmp garbage_page

garbage_next:
	mov garbage_cr4, %rax
	mov %rax, %cr4
	mov garbage_cr0, %rax
	mov %rax, %cr0
	mov garbage_cr3, %rax
	mov %rax, %cr3
	xor %eax, %eax
	mov %rax, %dr7
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	call garbage_round

	.section .note.GNU-stack, "", @progbits
