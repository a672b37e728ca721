/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts. A guarded instruction that faults is recorded in trap_last and
 * skipped; a vector with a hook calls it instead; vectors 32 to 255 without one are logged.
 */
#pragma once

#include "guest-tests/lib/guest.h"

enum {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_AC = 17,
};

#define TRAP_NONE 0xffffu

#define SEL_CODE64    0x08
#define SEL_DATA      0x10
#define SEL_CODE32    0x18
#define SEL_CODE16    0x20
#define SEL_DATA16    0x28
#define SEL_USER_DATA 0x33
#define SEL_USER_CODE 0x3b
#define SEL_ABSENT    0x40 /* a data segment that is not present */
#define SEL_TSS	      0x48
#define GDT_ENTRIES   11 /* of 8 bytes; a TSS has two */

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct trap_record {
	u32 vector; /* TRAP_NONE if nothing happened; the assembly in GUARDED relies on offset 0 */
	u32 error;
	u64 rip, cr2;
};

extern struct trap_record trap_last;
extern u64 trap_fixup;

/* Interrupts in order of arrival. */
extern u8 irq_log[16];
extern u32 irq_total; /* may exceed the log */

typedef void (*trap_hook_t)(struct trap_frame *f);

/* 64-bit TSS, SDM "Task Management in 64-bit Mode". */
struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap;
} __attribute__((packed));

/* What each CPU must have of its own to take traps: stack 0 is ring 0's for traps from ring 3, the others are the IST's. */
struct trap_cpu {
	struct tss tss;
	u64 gdt[GDT_ENTRIES];
	u8 stacks[4][PAGE_SIZE] __attribute__((aligned(16)));
};

/* The CPU that the loader started. */
void trap_init(void);
/* Any other; the IDT is the same. @cpu must stay. */
void trap_init_cpu(struct trap_cpu *cpu);
void trap_hook(unsigned int vector, trap_hook_t fn);
void irq_forget(void);
/* For guests that lose their stack pointer: every vector switches to a stack of its own. */
void trap_all_on_ist(void);
/* Marks a gate absent or present; dpl3 lets ring 3 use it by INT. */
void gate_present(unsigned int vector, bool present);
void gate_dpl3(unsigned int vector);

/* An instruction that may fault, inside asm(); no % in it, so it serves both forms of asm. For one CPU at a time. */
#define GUARDED(insn)                          \
	"movl $0xffff, trap_last\n\t"          \
	"movq $771f, trap_fixup\n\t" insn "\n" \
	"771:\tmovq $0, trap_fixup\n"

/*
 * The same for several CPUs at once: nothing of it is in memory. For asm() with operands; R10D is the vector
 * afterwards, or TRAP_NONE, and R11 is lost.
 */
#define GUARD_MARK 0x5afe7a95
#define TEXT(x)	   #x
#define TEXT_OF(x) TEXT(x)

#define GUARDED_LOCAL(insn)                                     \
	"lea 772f(%%rip), %%r11\n\t"                            \
	"movl $" TEXT_OF(GUARD_MARK) ", %%r10d\n\t" insn "\n\t" \
				     "movl $0xffff, %%r10d\n"   \
				     "772:\n"
