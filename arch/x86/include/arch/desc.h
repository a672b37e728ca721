/* SPDX-License-Identifier: MIT */
/* GDT, TSS and interrupt stacks of this CPU. */
#pragma once
#include <stdint.h>

/* Interrupt-stack-table slots: these vectors may come when the current stack is no good. */
enum { IST_NONE, IST_DF, IST_NMI, IST_MC, IST_NR };

/* Loads the GDT and the TSS with the IST stacks. Keeps GS base. Once per CPU, after percpu_init. */
void gdt_init(void);

/* For the VMCS host state; in bytes, how much of them the CPU reads. */
#define GDT_SIZE 40
#define TSS_SIZE 104
#define IDT_SIZE 4096
uint64_t gdt_base(void);
uint64_t gdt_tss_base(void);
uint64_t idt_base(void);
