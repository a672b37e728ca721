/* SPDX-License-Identifier: MIT */
/* What the VMCS of a new vCPU holds, and which bits of CR0 and CR4 the guest owns. */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"
#include "vmm/vcpu.h"

/* Makes what all vCPUs share: the I/O bitmaps. Once, at boot. 0 or -ENOMEM. */
__must_check int vmcs_init(void);

/* Fills the current VMCS, which is clear, for @v: controls, host state, guest state after RESET. */
void vmcs_setup(struct vcpu *v);
/* What of the host state is this CPU's own: whenever the VMCS has come from another one. */
void vmcs_setup_host_cpu(void);

/* Makes the guest state of the current VMCS that after INIT. */
void vmcs_init_guest(void);

/*
 * Fills the MSR bitmaps, a page: every access exits but those to the MSRs that the VMCS or
 * vcpu_load() switch. SDM, "MSR-Bitmap Address".
 */
void vmcs_setup_msr_bitmap(uint8_t *page);

/* The same for a vCPU whose local APIC the CPU serves, in x2APIC mode (apicv.h). */
void vmcs_setup_x2apic_msr_bitmap(uint8_t *page);
/* The one of these that all of them share. Unrestricted. */
hpa_t vmcs_x2apic_msr_bitmap(void);

/* The MSRs passed through that the VMCS does not switch; behind the last is a 0. Unrestricted. */
const uint32_t *vmcs_switched_msrs(void);
