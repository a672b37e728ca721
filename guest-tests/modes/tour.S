/* SPDX-License-Identifier: MIT */
/*
 * tour(): long mode, compatibility mode, 32-bit protected without paging, 16-bit protected,
 * real mode, 32-bit protected, 32-bit paging, PAE paging, long mode. The 16-bit pieces run
 * from their copy at TOUR_CODE. Interrupts are off but where real mode takes one.
 */
#include "guest-tests/modes/tour.h"

#define LOW(x)	((x) - tour_low + TOUR_CODE)
#define EFER	0xc0000080
#define VERSION 0	/* HC_VERSION */
#define IRQ	8	/* HC_IRQ */

	.macro PASSED step
	orl $\step, TOUR_DATA + T_STEPS
	.endm

	/* HC_VERSION into a field, if there is a hypervisor. */
	.macro CALL field
	cmpl $0, TOUR_DATA + T_CALLS
	je 9f
	mov $VERSION, %eax
	vmcall
	mov %eax, TOUR_DATA + \field
9:
	.endm

	.text
	.code64
	.globl tour
tour:
	.irp reg, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
	sidt saved_idt
	mov %rsp, saved_rsp
	mov %cr4, %rax
	mov %rax, saved_cr4
	pushq $0x18
	pushq $1f
	lretq

	.code32
1:	PASSED STEP_COMPAT
	xor %eax, %eax
	cpuid
	CALL T_CALL_COMPAT
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $EFER, %ecx
	rdmsr
	mov %eax, TOUR_DATA + T_EFER
	and $~0x100, %eax
	wrmsr
	mov %cr4, %eax
	and $~0x20, %eax			/* PAE */
	mov %eax, %cr4
	CALL T_CALL_PROT
	mov $0x80, %edx
	out %al, (%dx)
	PASSED STEP_PROT
	ljmp $0x20, $LOW(tour_pm16)

	.globl tour_low, tour_low_end
tour_low:
	.code16
tour_pm16:
	mov $0x28, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x80, %dx
	out %al, (%dx)
	PASSED STEP_PM16
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmp $0, $LOW(tour_real)

tour_real:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x6ff0, %sp
	mov %cr0, %eax
	mov %eax, TOUR_DATA + T_CR0_REAL
	lidtl LOW(tour_real_idt)
	movw $LOW(tour_int_handler), 4 * 0x40
	movw $0, 4 * 0x40 + 2
	movw $LOW(tour_irq_handler), 4 * 0x41
	movw $0, 4 * 0x41 + 2
	int $0x40
	xor %eax, %eax
	cpuid
	mov %ebx, TOUR_DATA + T_CPUID
	mov $0x80, %dx
	out %al, (%dx)
	mov $0x4d8, %dx
	in (%dx), %eax
	mov %eax, TOUR_DATA + T_IN
	mov $TOUR_DATA + T_BUFFER, %di
	mov $5, %cx
	cld
	rep insb
	mov %di, TOUR_DATA + T_STRING
	CALL T_CALL_REAL
	cmpl $0, TOUR_DATA + T_CALLS
	je 1f
	mov $IRQ, %eax
	mov $0x41, %ebx
	vmcall
	sti
	nop
	cli
1:	PASSED STEP_REAL
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x18, $tour_back

tour_int_handler:
	incl TOUR_DATA + T_INT
	iret
tour_irq_handler:
	incl TOUR_DATA + T_IRQ
	iret
	.align 4
tour_real_idt:
	.word 0x3ff
	.long 0
tour_low_end:

	.code32
tour_back:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov saved_rsp, %esp
	PASSED STEP_BACK

	/* 32-bit paging: virtual 0x40000000 is the image's own 4 MiB. */
	mov %cr4, %eax
	or $0x10, %eax				/* PSE */
	mov %eax, %cr4
	mov $table_32, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	mov tour_word + 0x40000000, %eax
	mov %eax, TOUR_DATA + T_WORD_32
	xor %eax, %eax
	cpuid
	PASSED STEP_32BIT
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0

	/* PAE paging: virtual 0xc0000000 is physical 0. */
	movl $page_dirs + 1, table_pae
	movl $page_dirs + 1, table_pae + 24
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $table_pae, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	mov tour_word + 0xc0000000, %eax
	mov %eax, TOUR_DATA + T_WORD_PAE
	mov $EFER, %ecx
	rdmsr
	mov %eax, TOUR_DATA + T_EFER_PAE
	PASSED STEP_PAE
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0

	mov $EFER, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov $page_root, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	ljmp $0x08, $1f

	.code64
1:	PASSED STEP_LONG
	mov saved_rsp, %rsp
	mov saved_cr4, %rax
	mov %rax, %cr4
	lidt saved_idt
	.irp reg, r15, r14, r13, r12, rbp, rbx
	pop %\reg
	.endr
	ret

	.data
	.align 16
	.globl tour_word
tour_word:
	.long 0x600df00d
saved_idt:
	.skip 10
	.align 8
saved_rsp:
	.quad 0
saved_cr4:
	.quad 0

	.align 4096
table_32:
	.long 0x83				/* 4 MiB pages: 0 to itself */
	.skip 255 * 4
	.long 0x83				/* and at 0x40000000 */
	.skip 767 * 4
	.align 32
table_pae:
	.skip 32

	.section .note.GNU-stack, "", @progbits
