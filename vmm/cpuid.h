/* SPDX-License-Identifier: MIT */
/*
 * What a guest may know of the CPU, and what follows from it: a feature that CPUID hides has
 * its control-register, XCR0 and MSR bits reserved.
 */
#pragma once
#include <stdint.h>
#include "arch/tsc.h"

struct guest_cpu {
	uint64_t cr4;	      /* bits a guest may set */
	uint64_t xcr0;	      /* likewise */
	uint64_t efer;	      /* likewise, LMA included */
	uint64_t phys_mask;   /* guest-physical address bits */
	uint64_t misc_enable; /* what IA32_MISC_ENABLE reads */
};

/*
 * Reads the host's CPUID, for good: no handler executes it. Once, at boot, after tsc_init() and
 * vmx_supported().
 */
void exit_cpuid_init(void);
const struct guest_cpu *guest_cpu(void);
/* Family, model and stepping: EAX of CPUID 1, and EDX after INIT. */
uint32_t guest_signature(void);

/*
 * TSC frequency = crystal * EBX / EAX of CPUID 15h. We say that the crystal, which also drives the APIC
 * timer, is the TSC itself, divided only if it does not fit into 32 bits.
 */
static inline uint32_t guest_crystal_ratio(void)
{
	return (uint32_t)(tsc_khz() * 1000 >> 32) + 1;
}
