/* SPDX-License-Identifier: MIT */
/*
 * From GRUB to C: Multiboot2 header, 32-bit entry, first page tables, 64-bit
 * mode, jump to the higher half. The same entry serves BIOS and UEFI; GRUB
 * leaves boot services itself ("I386 machine state", Multiboot2 specification).
 */
#include "arch/layout.h"
#include "arch/regs.h"
#include "arch/stack.h"
#include "boot/ap.h"

#define PTE_PW	0x3  /* present, writable */
#define PTE_PWL 0x83 /* the same, 2 MiB leaf */

	.section .boot.header, "a"
	.balign 8
header:
	.long 0xe85250d6		/* magic */
	.long 0				/* architecture: i386 protected mode */
	.long header_end - header
	.long -(0xe85250d6 + (header_end - header))
	/* Tag 6: modules aligned to pages. */
	.balign 8
	.word 6, 0
	.long 8
	/* End. */
	.balign 8
	.word 0, 0
	.long 8
header_end:

	.section .boot.text, "ax"
	.code32
	.globl boot_entry
boot_entry:
	cli
	cld
	movl $boot_stack_end, %esp
	movl %eax, %edi			/* magic */
	movl %ebx, %esi			/* boot information, below 4 GiB */

	/* Long mode and NX, or there is nothing that we can do; no text is possible yet but this. */
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	testl $(1 << 29), %edx
	jz no_long_mode
	testl $(1 << 20), %edx
	jz no_long_mode

	/*
	 * Root: slot 0 (identity, for this code), slot 256 (direct map) and slot
	 * 511 (image) lead to the first 4 GiB in 2 MiB leaves. hostmap_init()
	 * replaces all of it by tables that are W^X.
	 */
	movl $boot_pdpt + PTE_PW, boot_pml4
	movl $boot_pdpt + PTE_PW, boot_pml4 + 256 * 8
	movl $boot_image_pdpt + PTE_PW, boot_pml4 + 511 * 8
	movl $boot_pds + PTE_PW, boot_image_pdpt + 510 * 8
	movl $boot_pds + PTE_PW, %eax
	movl $boot_pdpt, %ebx
	movl $4, %ecx
1:	movl %eax, (%ebx)
	addl $0x1000, %eax
	addl $8, %ebx
	loop 1b
	movl $PTE_PWL, %eax
	movl $boot_pds, %ebx
	movl $2048, %ecx
2:	movl %eax, (%ebx)
	addl $0x200000, %eax
	addl $8, %ebx
	loop 2b

	movl $boot_entry64, %ebp

	/*
	 * Flat 32-bit code to 64-bit code at EBP, on the tables above; keeps EDI and ESI. Other processors come
	 * here too, from ap.S.
	 */
	.globl boot_long_mode
boot_long_mode:
	movl $0x20, %eax		/* CR4.PAE */
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER: LME, NXE */
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010011, %eax		/* CR0: PG, WP, ET, PE */
	movl %eax, %cr0
	lgdt boot_gdt_ptr
	ljmp $BOOT_CODE64, $boot_segments

no_long_mode:
	/* "64?" on COM1, as GRUB left it. */
	movw $0x3f8, %dx
	movb $'6', %al
	outb %al, %dx
	movb $'4', %al
	outb %al, %dx
	movb $'?', %al
	outb %al, %dx
3:	hlt
	jmp 3b

	.code64
boot_segments:
	movl $BOOT_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	/* GS base 0: per-CPU variables live in their template until percpu_init(). */
	movl $MSR_GS_BASE, %ecx
	xorl %edx, %edx
	wrmsr
	/* FS base: the canary of the first C function. hv_main() makes it a random one. */
	movq $boot_stack, %rax
	movq %rax, %rdx
	shrq $32, %rdx
	movl $MSR_FS_BASE, %ecx
	wrmsr
	jmp *%rbp

boot_entry64:
	movl %edi, %edi
	movl %esi, %esi
	movq $boot_stack_top, %rsp
	xorl %ebp, %ebp			/* the backtrace ends here */
	movabsq $hv_main, %rax
	call *%rax
4:	cli
	hlt
	jmp 4b

	.text
	ON_STACK hv_serve_on_stack, hv_serve
	ON_STACK selftest_on_stack, selftest_one
	ON_STACK crash_on_stack, crash_commit
	ON_STACK measure_on_stack, measure_all
	ON_STACK races_read_on_stack, races_read

	.section .boot.text
	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9a000000ffff	/* 64-bit code */
	.quad 0x00cf92000000ffff	/* data */
	.quad 0x00cf9a000000ffff	/* 32-bit code */
boot_gdt_ptr:
	.word . - boot_gdt - 1
	.long boot_gdt

	.section .boot.data, "aw", @nobits
	.balign 4096
	.globl boot_tables, boot_tables_end
boot_tables:
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_image_pdpt:
	.skip 4096
boot_pds:
	.skip 4 * 4096
boot_tables_end:
	.skip 256
boot_stack_end:

	/* hv_main's own stack: sensitive, since guest images pass through it. */
	.section .bss
	.balign 4096
	.globl boot_stack_bottom
boot_stack_bottom:
	.skip 32768
boot_stack_top:

	.data
	.balign 16
	.globl boot_stack
	.type boot_stack, @object
boot_stack:
	.quad 0, boot_stack_top
	.size boot_stack, . - boot_stack

	.section .note.GNU-stack, "", @progbits
