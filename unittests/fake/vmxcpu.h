/* SPDX-License-Identifier: MIT */
/* A CPU whose VMX capabilities a test chooses, and what was done to it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct fake_cpu {
	uint32_t cpuid_1_ecx;
	uint64_t feature_control, basic, misc, ept_vpid_cap;
	uint64_t pin, proc, proc2, exit,
		entry; /* the (true) capability MSRs of the control words */
	uint64_t cr0, cr4, cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	bool vmxon_fails, inv_fails;

	/* What happened. */
	unsigned int nr_wrmsr, nr_vmxon;
	uint64_t vmxon_hpa;
	uint64_t vmxon_cr0, vmxon_cr4; /* at VMXON */
	uint64_t inv_type, inv_id;
};
extern struct fake_cpu fake_cpu;

/* A Skylake whose firmware has locked VMX on. */
void fake_cpu_reset(void);
