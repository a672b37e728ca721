/* SPDX-License-Identifier: MIT */
/*
 * From the Multiboot entry (32-bit, no paging) to guest_start() in 64-bit mode with the first
 * 4 GiB mapped to themselves in 2 MiB pages, open to ring 3 as well for the tests that go there.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 3 /* modules on page boundaries, memory map wanted */

	.section .multiboot, "a"
	.align 4
	.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.code32
	.globl start
start:
	cli
	cld
	mov $stack_top, %esp
	mov %eax, %ebp
	mov %ebx, %esi

	mov $page_dirs, %edi
	mov $0x87, %eax			/* present, writable, user, large */
	mov $2048, %ecx
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 1b

	mov $page_dirs + 7, %eax
	mov $page_dir_ptrs, %edi
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $8, %edi
	add $4096, %eax
	loop 1b
	movl $page_dir_ptrs + 7, page_root

	mov $page_root, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax			/* LME, NXE */
	wrmsr
	mov %cr0, %eax
	and $~0x60000004, %eax		/* not EM, CD, NW */
	or $0x80010022, %eax		/* PG, WP, NE, MP */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $1f

	.code64
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov %ebp, %edi
	call guest_start
1:	hlt
	jmp 1b

	.data
	.align 16
	.globl gdt
gdt:					/* selectors: SEL_* in trap.h */
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
	.quad 0x00cf9b000000ffff	/* 32-bit code */
	.quad 0x00009b000000ffff	/* 16-bit code, the first 64 KiB */
	.quad 0x000093000000ffff	/* 16-bit data */
	.quad 0x00cff3000000ffff	/* ring 3 data */
	.quad 0x00affb000000ffff	/* ring 3 64-bit code */
	.quad 0x00cf13000000ffff	/* data, not present */
	.quad 0, 0			/* 64-bit TSS, filled in each CPU's copy */
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

	.bss
	.align 4096
	.globl page_root, page_dirs
page_root:
	.skip 4096
page_dir_ptrs:
	.skip 4096
page_dirs:
	.skip 4 * 4096
	.skip 16384
	.globl stack_top
stack_top:

	.section .note.GNU-stack, "", @progbits
