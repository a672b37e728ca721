/* SPDX-License-Identifier: MIT */
/* Interrupts of a PC: 8259s at vectors 0x20 and 0x28, of which each test unmasks what it wants. */
#pragma once

#include "guest-tests/lib/cpu.h"

enum { PIC0 = 0x20, PIC1 = 0xa0, PIT = 0x40, PIT_CONTROL = 0x43, SPEAKER = 0x61, COM1 = 0x3f8 };
enum { VECTOR_TIMER = 0x20, VECTOR_COM1 = 0x24 };

#define PIT_HZ 1193182ul

/* Interrupts that came, counted by their handlers, which end them. */
extern volatile u32 timer_irqs, com1_irqs;

void pic_start(void);
/* Lines of the first PIC that pass, as a set of bits. */
void pic_open(u8 lines);
void pit_program(u32 channel, u32 mode, u32 count);
/* TSC ticks of so many PIT clocks, by what CPUID says of the TSC. */
u64 clocks_in_tsc(u64 clocks);

void check_timer(void); /* timer.c */
/* acpi.c, with platform=apic */
void check_acpi(void);
void power_off(void);
