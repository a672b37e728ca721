/* SPDX-License-Identifier: MIT */
/* The CPU of unittests/fake/vmxcpu.h, for arch/x86/vmx.c; no clash with the fake VMCS wanted. */
#include <stdlib.h>
#include "unittests/fake/vmxcpu.h"
#include "arch/insn.h"
#include "arch/regs.h"

struct fake_cpu fake_cpu;
uint64_t fake_vmcs[0x8000];

static const struct fake_cpu skylake = {
	.cpuid_1_ecx = CPUID_1_ECX_VMX | CPUID_1_ECX_XSAVE,
	.feature_control = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE,
	.basic = 0xda040000000004,
	.misc = 0x7004c1e7,
	.ept_vpid_cap = 0xf0106734141,
	.pin = 0x7f00000016,
	.proc = 0xfff9fffe04006172,
	.proc2 = 0x5fbcff00000000,
	.exit = 0x1ffffff00036dfb,
	.entry = 0x3ffff000011fb,
	.cr0 = CR0_PG | CR0_WP | CR0_ET | CR0_MP | CR0_PE,
	.cr4 = CR4_PAE | CR4_OSXSAVE,
	.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = CR4_VMXE,
	.cr4_fixed1 = 0x3767ff,
};

void fake_cpu_reset(void)
{
	fake_cpu = skylake;
}

static struct cpuid_regs leaf_1(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return (struct cpuid_regs){ .ecx = leaf == 1 ? fake_cpu.cpuid_1_ecx : 0 };
}
struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t) = leaf_1;

/* What else vmx.c might read would be a #GP. */
static uint64_t *msr_find(uint32_t msr)
{
	switch (msr) {
	case MSR_FEATURE_CONTROL:
		return &fake_cpu.feature_control;
	case MSR_VMX_BASIC:
		return &fake_cpu.basic;
	case MSR_VMX_MISC:
		return &fake_cpu.misc;
	case MSR_VMX_EPT_VPID_CAP:
		return &fake_cpu.ept_vpid_cap;
	case MSR_VMX_TRUE_PIN_CTLS:
		return &fake_cpu.pin;
	case MSR_VMX_TRUE_PROC_CTLS:
		return &fake_cpu.proc;
	case MSR_VMX_PROC2_CTLS:
		return &fake_cpu.proc2;
	case MSR_VMX_TRUE_EXIT_CTLS:
		return &fake_cpu.exit;
	case MSR_VMX_TRUE_ENTRY_CTLS:
		return &fake_cpu.entry;
	case MSR_VMX_CR0_FIXED0:
		return &fake_cpu.cr0_fixed0;
	case MSR_VMX_CR0_FIXED1:
		return &fake_cpu.cr0_fixed1;
	case MSR_VMX_CR4_FIXED0:
		return &fake_cpu.cr4_fixed0;
	case MSR_VMX_CR4_FIXED1:
		return &fake_cpu.cr4_fixed1;
	default:
		abort();
	}
}

/* SDM: the MSRs of VMX exist with VMX, those of parts of it with these parts. */
static bool msr_exists(uint32_t msr)
{
	bool secondary = fake_cpu.proc >> 63;

	if (!(fake_cpu.cpuid_1_ecx & CPUID_1_ECX_VMX))
		return false;
	if (msr >= MSR_VMX_TRUE_PIN_CTLS && msr <= MSR_VMX_TRUE_ENTRY_CTLS)
		return fake_cpu.basic >> 55 & 1;
	if (msr == MSR_VMX_PROC2_CTLS)
		return secondary;
	if (msr == MSR_VMX_EPT_VPID_CAP)
		return secondary && (fake_cpu.proc2 >> 32 & 0x22); /* EPT or VPID */
	return true;
}

uint64_t rdmsr(uint32_t msr)
{
	if (!msr_exists(msr))
		abort();
	return *msr_find(msr);
}

void wrmsr(uint32_t msr, uint64_t v)
{
	if (msr != MSR_FEATURE_CONTROL || (fake_cpu.feature_control & FEATURE_CONTROL_LOCKED))
		abort(); /* #GP */
	fake_cpu.feature_control = v;
	fake_cpu.nr_wrmsr++;
}

uint64_t read_cr0(void)
{
	return fake_cpu.cr0;
}

void write_cr0(uint64_t v)
{
	fake_cpu.cr0 = v;
}

uint64_t read_cr4(void)
{
	return fake_cpu.cr4;
}

void write_cr4(uint64_t v)
{
	fake_cpu.cr4 = v;
}

bool vmxon(uint64_t hpa)
{
	fake_cpu.nr_vmxon++;
	fake_cpu.vmxon_hpa = hpa;
	fake_cpu.vmxon_cr0 = fake_cpu.cr0;
	fake_cpu.vmxon_cr4 = fake_cpu.cr4;
	return !fake_cpu.vmxon_fails;
}

static bool inv(uint64_t type, uint64_t id)
{
	fake_cpu.inv_type = type;
	fake_cpu.inv_id = id;
	return !fake_cpu.inv_fails;
}

bool invept(uint64_t type, uint64_t eptp)
{
	return inv(type, eptp);
}

bool invvpid(uint64_t type, uint64_t vpid, uint64_t gva)
{
	(void)gva;
	return inv(type, vpid);
}
