/* SPDX-License-Identifier: MIT */
/* A vCPU with a local APIC on the fake VMCS, for the tests of vmm/lapic*.c. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "unittests/fake/vmx.h"
#include "vmm/lapic_internal.h"
#include "vmm/post.h"

#define V	 (&fake_vcpu)
#define L	 (&fake_lapic)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define X2MSR(r) (0x800U + (r))

extern uint64_t fake_tsc;
static uint32_t fake_regs[LAPIC_REGS_NR][4];
static struct lapic fake_lapic = { .regs = fake_regs };

/* As a guest gets it, interrupts on. */
static inline void lapic_start(void)
{
	fake_vcpu_reset();
	fake_tsc = 1000000;
	fake_vcpu.lapic = L;
	lapic_init(V);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
}

/* An instruction of the guest; before its next one run.c looks into the post. */
static inline void put(enum lapic_reg reg, uint32_t value)
{
	lapic_mmio_write(V, LAPIC_PAGE + 16 * reg, 4, value);
	post_collect(V);
}

static inline uint32_t get(enum lapic_reg reg)
{
	return (uint32_t)lapic_mmio_read(V, LAPIC_PAGE + 16 * reg, 4);
}

static inline void enter_x2(void)
{
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE | 0xd00));
}

/* What the next VM entry delivers: a vector, or -1. */
static inline int delivered(void)
{
	uint32_t info;

	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	post_collect(V);
	vcpu_deliver_events(V);
	info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	return info & INTR_INFO_VALID ? (int)(info & INTR_INFO_VECTOR_MASK) : -1;
}
