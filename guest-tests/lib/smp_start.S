/* SPDX-License-Identifier: MIT */
/*
 * What a CPU does after SIPI. smp_trampoline is copied to a page below 1 MiB; the rest runs where it is linked. A CPU
 * finds its number by its APIC id, so that one that is started again is the same as before.
 */
#define SMP_MAX	   64		/* as in smp.h */
#define STACK_SHIFT 13

	.section .rodata
	.globl smp_trampoline, smp_trampoline_end
	.code16
smp_trampoline:
	cli
	mov %cs, %ebp
	lgdtl %cs:(1f - smp_trampoline)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x18, $smp_start32
1:	.word 11 * 8 - 1
	.long gdt
smp_trampoline_end:

	.text
	.code32
smp_start32:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
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
	ljmp $0x08, $1f

	.code64
1:	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	cpuid
	cmp $0xb, %eax
	jb 1f
	mov $0xb, %eax
	xor %ecx, %ecx
	cpuid
	mov %edx, %esi
	test %ebx, %ebx
	jnz 2f
1:	mov $1, %eax
	cpuid
	shr $24, %ebx
	mov %ebx, %esi

2:	xor %edi, %edi			/* the first slot that has our id, or none yet */
3:	mov $-1, %eax
	lock cmpxchg %esi, smp_ids(, %rdi, 4)
	je 4f
	cmp %esi, %eax
	je 4f
	inc %edi
	cmp $SMP_MAX, %edi
	jb 3b
	jmp stranger

	/* Two with the same id, or one that nobody started, must not share a stack. */
4:	mov $1, %eax
	lock xadd %eax, smp_arrivals(, %rdi, 4)
	cmp smp_expected(, %rdi, 4), %eax
	je 5f
	cmpl $-1, smp_expected(, %rdi, 4)	/* SMP_ANY_STARTS */
	jne stranger
5:	mov %rdi, %rsp
	inc %rsp
	shl $STACK_SHIFT, %rsp
	add $smp_stacks, %rsp
	mov %ebp, %esi
	xor %ebp, %ebp
	call smp_main

stranger:
	lock incl smp_strangers
1:	cli
	hlt
	jmp 1b

	.data
	.align 64
	.globl smp_ids
smp_ids:				/* APIC ids; -1: nobody's */
	.fill SMP_MAX, 4, -1

	.bss
	.align 4096
smp_stacks:
	.skip SMP_MAX << STACK_SHIFT

	.section .note.GNU-stack, "", @progbits
