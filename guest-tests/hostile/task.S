/* SPDX-License-Identifier: MIT */
/*
 * Task switches exist only outside long mode and always exit under VMX. If one is carried out,
 * the new task ends the guest with code 2.
 */
	.text
	.globl task_jump
task_jump:
	lgdt task_gdt_pointer
	pushq $0x18
	pushq $1f
	lretq
	.code32
1:	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	mov $0xc0000080, %ecx
	rdmsr
	and $~0x100, %eax
	wrmsr
	mov $task_tss_old, %eax
	mov %ax, task_gdt + 0x22
	shr $16, %eax
	mov %al, task_gdt + 0x24
	mov $task_tss_new, %eax
	mov %ax, task_gdt + 0x2a
	shr $16, %eax
	mov %al, task_gdt + 0x2c
	mov $0x20, %eax
	ltr %ax
	ljmp $0x28, $0
	ud2

task_new:
	mov $2, %al
	out %al, $0xf4
1:	hlt
	jmp 1b

	.data
	.align 16
task_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cf9b000000ffff
	.quad 0x0000890000000067	/* TSS of the old task, base filled in */
	.quad 0x0000890000000067	/* TSS of the new task */
task_gdt_pointer:
	.word . - task_gdt - 1
	.quad task_gdt

	.align 128
task_tss_old:
	.skip 104
	.align 128
task_tss_new:
	.skip 28			/* to CR3, which is 0 without paging */
	.long 0, task_new, 2		/* CR3 EIP EFLAGS */
	.long 0, 0, 0, 0		/* EAX ECX EDX EBX */
	.long task_stack_top, 0, 0, 0	/* ESP EBP ESI EDI */
	.long 0x10, 0x18, 0x10, 0x10, 0x10, 0x10 /* ES CS SS DS FS GS */
	.long 0, 0x680000		/* LDT, I/O map */

	.bss
	.align 16
	.skip 256
task_stack_top:

	.section .note.GNU-stack, "", @progbits
