/* SPDX-License-Identifier: MIT */
/*
 * foreign-kludge: a Multiboot image that owes nothing to guest-tests/lib: i386, linked at 4 MiB, with
 * load addresses in its header.
 *
 * Why: these addresses win over the ELF program headers, which say something else here on purpose
 * (kludge.ld); only images from elsewhere do that. It ends by a 32-bit OUT, as QEMU's
 * isa-debug-exit has it.
 * Expected: pass, and code 2 if it was loaded as an ELF.
 */
#define MAGIC	    0x1badb002
#define FLAGS	    0x00010002	/* load addresses; memory information wanted */
#define BOOT_MAGIC  0x2badb002
#define AS_ELF	    0x600000	/* where the ELF program header would put it */
#define COM1	    0x3f8
#define COM1_STATUS 0x3fd
#define PORT_EXIT   0xf4

	.section .header, "a"
	.align 4
header:
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)
	.long header, load_start, load_end, bss_end, start

	.text
	.code32
	.globl elf_entry
elf_entry:				/* runs at any address */
	mov $2, %eax
	jmp end

	.globl start
start:
	mov $stack_top, %esp
	cld
	mov %eax, %ebp
	mov $hello, %esi
	call puts
	cmp $BOOT_MAGIC, %ebp
	jne fail
	mov (%ebx), %eax		/* flags of the boot information: mem_upper, memory map */
	and $0x41, %eax
	cmp $0x41, %eax
	jne fail
	cmpl $4096, 8(%ebx)		/* mem_upper in KiB: we run behind it */
	jb fail
	cmpl $0, AS_ELF			/* nothing was put there */
	jne fail
	mov $bss_start, %edi
	mov $bss_used, %ecx
	sub %edi, %ecx
	shr $2, %ecx
	xor %eax, %eax
	repe scasl
	jne fail
	mov $pass, %esi
	call puts
	xor %eax, %eax
	jmp end
fail:
	mov $failed, %esi
	call puts
	mov $1, %eax
end:
	mov $PORT_EXIT, %edx
	out %eax, %dx
1:	hlt
	jmp 1b

puts:					/* the string at ESI */
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
	.asciz "foreign-kludge: at 4 MiB\n"
pass:
	.asciz "PASS: loaded by the addresses in its header\n"
failed:
	.asciz "FAIL: boot state\n"

	.bss
	.skip 8192			/* bss_start to bss_used: to be zero */
	.section .stack, "aw", @nobits
	.skip 4096
stack_top:

	.section .note.GNU-stack, "", @progbits
