/* SPDX-License-Identifier: MIT */
/* The instructions that exit handlers use, on a fake CPU: unittests/fake/vmx.c has the state. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn_priv.h"

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

/* The current VMCS, by field encoding; handlers read and write it as they would the real one. */
extern uint64_t fake_vmcs[0x8000];
extern uint64_t fake_tsc, fake_xcr0, fake_dr6;
extern unsigned int fake_nr_nmi, fake_nr_mc;
/* Answers CPUID; a test may put its own here. */
extern struct cpuid_regs (*fake_cpuid)(uint32_t leaf, uint32_t subleaf);

static inline bool vmread(uint64_t field, uint64_t *v)
{
	*v = fake_vmcs[field];
	return true;
}
static inline bool vmwrite(uint64_t field, uint64_t v)
{
	fake_vmcs[field] = v;
	return true;
}
static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	return fake_cpuid(leaf, subleaf);
}
static inline uint64_t rdtsc(void)
{
	return fake_tsc;
}
static inline void xsetbv(uint32_t reg, uint64_t v)
{
	(void)reg;
	fake_xcr0 = v;
}
static inline uint64_t read_dr6(void)
{
	return fake_dr6;
}
static inline void write_dr6(uint64_t v)
{
	fake_dr6 = v;
}
static inline void int_nmi(void)
{
	fake_nr_nmi++;
}
static inline void int_mc(void)
{
	fake_nr_mc++;
}
static inline void irq_window(void)
{
}
