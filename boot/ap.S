/* SPDX-License-Identifier: MIT */
/*
 * From a start-up IPI to C. The CPU comes in real mode, CS:IP = page:0, everything else as after INIT. The
 * trampoline is copied to that page (ap.c); all that it jumps to is at its linked place.
 */
#include "boot/ap.h"

	.section .boot.text, "ax"
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	cld
	lgdtl %cs:(1f - ap_trampoline)
	movl $0x11, %eax		/* CR0: ET, PE; INIT has set CD and NW */
	movl %eax, %cr0
	ljmpl $BOOT_CODE32, $ap_entry32
1:	.word 4 * 8 - 1
	.long boot_gdt
ap_trampoline_end:

	.code32
ap_entry32:
	movl $BOOT_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $ap_entry64, %ebp
	jmp boot_long_mode

	.code64
ap_entry64:
	movabsq $ap_entry, %rax
	jmp *%rax

	/* GS base is 0, so per-CPU variables are their templates; FS base has the boot stack's canary. */
	.text
	.type ap_entry, @function
ap_entry:
	movq ap_start + AP_START_CR3(%rip), %rax
	movq %rax, %cr3
	movq ap_start + AP_START_STACK(%rip), %rsp
	xorl %ebp, %ebp			/* the backtrace ends here */
	call ap_main
	ud2
	.size ap_entry, . - ap_entry

	.section .note.GNU-stack, "", @progbits
