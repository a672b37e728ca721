/* SPDX-License-Identifier: MIT */
/*
 * foreign-high: a Multiboot image that owes nothing to guest-tests/lib: ELF64, linked to the upper half,
 * loaded at 2 MiB, its entry given as a virtual address.
 *
 * Why: that is how 64-bit kernels are linked; p_vaddr, p_paddr and e_entry have to be told apart.
 * It enters long mode by its own tables, jumps up, and looks at both of its segments.
 * Expected: pass.
 */
#define MAGIC	    0x1badb002
#define FLAGS	    0x00000003	/* page-aligned modules, memory information */
#define BOOT_MAGIC  0x2badb002
#define COM1	    0x3f8
#define COM1_STATUS 0x3fd
#define PORT_EXIT   0xf4

#define LOW(symbol) (symbol - UPPER)
	.set UPPER, 0xffffffff80000000

	.section .header, "a"
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl start
start:
	cld
	mov $LOW(tables), %edi		/* RAM need not be zero where bss is: clear the tables */
	mov $4 * 1024, %ecx
	mov %eax, %ebp
	xor %eax, %eax
	rep stosl
	movl $LOW(pdpt) + 3, LOW(pml4)
	movl $LOW(pdpt) + 3, LOW(pml4) + 511 * 8
	movl $LOW(pd) + 3, LOW(pdpt)
	movl $LOW(pd) + 3, LOW(pdpt) + 510 * 8
	movl $0x83, LOW(pd)		/* the first 4 MiB */
	movl $0x200083, LOW(pd) + 8
	mov $LOW(pml4), %eax
	mov %eax, %cr3
	mov $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	mov $0x100, %eax		/* EFER.LME */
	xor %edx, %edx
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	lgdt LOW(gdt_pointer)
	ljmp $8, $LOW(1f)

	.code64
1:	mov $upper, %rax
	jmp *%rax
upper:
	mov $stack_top, %rsp
	lea hello(%rip), %rsi
	call puts
	cmp $BOOT_MAGIC, %ebp
	jne fail
	lea upper(%rip), %rax		/* where we are, and where we were linked */
	cmp $upper, %rax
	jne fail
	movabs $0x123456789abcdef0, %rax
	cmp %rax, data
	jne fail
	cmpq $0, bss			/* the loader has to clear it */
	jne fail
	lea pass(%rip), %rsi
	call puts
	xor %eax, %eax
	jmp end
fail:
	lea failed(%rip), %rsi
	call puts
	mov $1, %eax
end:
	mov $PORT_EXIT, %edx
	out %eax, %dx
1:	hlt
	jmp 1b

puts:					/* the string at RSI */
	lodsb
	test %al, %al
	jz 2f
	mov %al, %cl
	mov $COM1_STATUS, %edx
1:	in %dx, %al
	test $0x20, %al			/* transmitter empty */
	jz 1b
	mov %cl, %al
	mov $COM1, %edx
	out %al, %dx
	jmp puts
2:	ret

hello:
	.asciz "foreign-high: in the upper half\n"
pass:
	.asciz "PASS: entry, text, data and bss\n"
failed:
	.asciz "FAIL: boot state\n"

	.data
	.align 8
data:
	.quad 0x123456789abcdef0
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long LOW(gdt)

	.bss
bss:
	.skip 8
	.align 4096
tables:
pml4:
	.skip 4096
pdpt:
	.skip 4096
pd:
	.skip 4096
	.skip 4096
stack_top:

	.section .note.GNU-stack, "", @progbits
