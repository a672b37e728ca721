/* SPDX-License-Identifier: MIT */
/*
 * The guest's first program: its first act is a mark (PORT_MARK), so that the exits before and after userspace begins can be
 * told apart. Then it becomes the shell that runs /script, with the environment that the kernel has made.
 */
#include "vmm/abi.h"

#define SYS_EXECVE 59
#define SYS_EXIT   60
#define SYS_IOPL   172

	.globl	_start
_start:
	mov	$3, %edi
	mov	$SYS_IOPL, %eax
	syscall
	test	%eax, %eax
	jnz	1f				/* not allowed: no mark */
	mov	$1, %al
	out	%al, $PORT_MARK
1:	mov	(%rsp), %rax			/* argc */
	lea	16(%rsp, %rax, 8), %rdx		/* behind argv and its end: the environment */
	lea	shell(%rip), %rdi
	lea	arguments(%rip), %rsi
	mov	$SYS_EXECVE, %eax
	syscall
	mov	$1, %edi			/* there is no shell */
	mov	$SYS_EXIT, %eax
	syscall

	.data
	.balign	8
arguments:
	.quad	shell, script, 0
shell:
	.asciz	"/bin/sh"
script:
	.asciz	"/script"
