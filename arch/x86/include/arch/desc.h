/* SPDX-License-Identifier: MIT */
/* GDT, TSS and interrupt stacks of this CPU. */
#pragma once
#include <stdint.h>

/*
 * Interrupt-stack-table slots. Only a double fault comes when the current stack is no good: there is no user
 * mode, and RSP is a mapped stack at each instruction. A stack of its own for NMIs would be overwritten
 * by the next one, which may come as soon as a page fault in the handler returns.
 */
enum { IST_NONE, IST_DF };

/* Loads the GDT and the TSS with the #DF stack. Keeps FS and GS. Once per CPU, after percpu_init. */
void gdt_init(void);

/* For the VMCS host state; in bytes, how much of them the CPU reads. */
#define GDT_SIZE 40
#define TSS_SIZE 104
#define IDT_SIZE 4096
uint64_t gdt_base(void);
uint64_t gdt_tss_base(void);
uint64_t idt_base(void);
