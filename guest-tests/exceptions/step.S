/* SPDX-License-Identifier: MIT */
/*
 * step_NAME runs one instruction with RFLAGS.TF set by the POPF just before it. A debug trap is
 * due after that instruction and after each of the four that follow: at step_NAME_trap[].
 */
	.macro STEP name, eax, ecx, edx, insn:vararg
	.text
	.globl step_\name
step_\name:
	push %rbx
	xor %ebx, %ebx
	mov $\eax, %eax
	mov $\ecx, %ecx
	mov $\edx, %edx
	pushfq
	orq $0x100, (%rsp)
	popfq
	\insn
1:	nop
2:	pushfq
3:	andq $~0x100, (%rsp)
4:	popfq
5:	nop
	pop %rbx
	ret
	.section .rodata
	.align 8
	.globl step_\name\()_trap
step_\name\()_trap:
	.quad 1b, 2b, 3b, 4b, 5b
	.endm

	STEP nop, 0, 0, 0, nop
	STEP cpuid, 0, 0, 0, cpuid
	STEP in, 0, 0, 0x4d8, inb (%dx), %al
	STEP out, 0, 0, 0x80, outb %al, (%dx)
	STEP rdmsr, 0, 0x1a0, 0, rdmsr
	STEP wrmsr, 0, 0x8b, 0, wrmsr
	STEP vmcall, 0, 0, 0, vmcall	/* HC_VERSION */

/* u64 ring3_call(void (*fn)(void), u64 rflags): runs fn in ring 3; INT 0x7f there comes back. */
	.text
	.globl ring3_call, ring3_return
ring3_call:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, ring3_saved_rsp
	pushq $0x33
	pushq $ring3_stack_top
	push %rsi
	pushq $0x3b
	push %rdi
	iretq
ring3_return:			/* the hook of vector 0x7f resumes here, in ring 0 */
	mov ring3_saved_rsp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* Interrupts off, HC_IRQ in the shadow of STI: the next instruction must not run before it. */
	.globl irq_after_sti_vmcall
irq_after_sti_vmcall:
	push %rbx
	mov $8, %eax		/* HC_IRQ */
	mov $0x50, %ebx
	sti
	vmcall
	mov irq_total, %eax
	cli
	pop %rbx
	ret

	.bss
	.align 16
ring3_saved_rsp:
	.skip 8
	.align 16
	.skip 4096
ring3_stack_top:

	.section .note.GNU-stack, "", @progbits
