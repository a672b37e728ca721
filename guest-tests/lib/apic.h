/* SPDX-License-Identifier: MIT */
/* The local APIC in either mode, by register offset: SDM "Advanced Programmable Interrupt Controller (APIC)". */
#pragma once

#include "guest-tests/lib/cpu.h"

enum {
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SVR = 0xf0,
	APIC_ISR = 0x100,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR2 = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	TIMER_INITIAL = 0x380,
	TIMER_CURRENT = 0x390,
	TIMER_DIVIDE = 0x3e0,
	SELF_IPI = 0x3f0,
};

#define APIC_PAGE	 0xfee00000ul
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC(reg)	 (0x800 + (reg) / 16)

#define BASE_BSP  BIT(8)
#define BASE_EXTD BIT(10)
#define BASE_EN	  BIT(11)

#define SVR_ON	    0x1ff
#define MASKED	    BIT(16)
#define PERIODIC    BIT(17)
#define DEADLINE    BIT(18)
#define DIVIDE_BY_1 0xb
#define ICR_LOWEST  0x100
#define ICR_NMI	    0x400
#define ICR_INIT    0x500
#define ICR_SIPI    0x600
#define ICR_LOGICAL 0x800
#define ICR_PENDING 0x1000
#define ICR_ASSERT  0x4000
#define ICR_LEVEL   0x8000
#define ICR_SELF    0x40000
#define ICR_ALL	    0x80000
#define ICR_OTHERS  0xc0000

/* The mode of all CPUs, for the functions below; whoever changes it by IA32_APIC_BASE sets it. */
extern bool x2apic;

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
/* @dest as the mode has it, 8 or 32 bits; all ones is everybody. */
void apic_send(u32 dest, u32 icr);
