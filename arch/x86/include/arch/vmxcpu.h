/* SPDX-License-Identifier: MIT */
/*
 * VMX on this CPU: whether it can do all that we need, the control words made of what it
 * allows, VMXON, and the flushes of guest translations.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"

/* The five control words. */
enum vmx_ctl { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_CTL_NR };

/*
 * The control word with @must1 set and the rest as clear as @capability, the value of a (true)
 * capability MSR, allows. Returns the bits that cannot be had: of @must1 those that must be 0, of
 * @must0 those that must be 1. Pure (vmxctls.c); SDM, appendix "VMX Capability Reporting Facility".
 */
uint32_t vmx_ctls(uint64_t capability, uint32_t must1, uint32_t must0, uint32_t *out);

/*
 * Whether this CPU has everything that we need of VMX. If not, *@missing says what in the SDM's
 * words. Reads only. Notes what the functions below need: call it first, once.
 */
bool vmx_supported(const char **missing);

/*
 * VMXON with the page @region (its host-physical address @hpa), and CR0 and CR4 as VMX operation
 * wants them. 0; -ENODEV if the firmware forbids it; -EIO if VMXON fails (VMX is on already).
 */
__must_check int vmx_on(uint64_t hpa, void *region);

/* The revision identifier that starts a VMXON region and a VMCS region. */
uint32_t vmx_revision(void);

/* A control word: everything in the table of vmx.c, optional parts where the CPU has them. */
uint32_t vmx_control_word(enum vmx_ctl ctl);

/* Whether leaves of 1 GiB are allowed in EPT. */
bool vmx_ept_has_1g(void);

/*
 * Whether PROC_TPR_SHADOW and PROC2_VIRTUAL_X2APIC can be set, which vmx_control_word() leaves off; and
 * "process posted interrupts", which every CPU has that has these: vmm/apicv.c.
 */
bool vmx_has_apicv(void);
bool vmx_has_apic_access(void); /* PROC2_APIC_ACCESS */
bool vmx_has_posted_interrupts(void);

/* Drops what this CPU caches of a guest's EPT, of a VPID: the narrowest type it has. */
void vmx_flush_ept(uint64_t eptp);
void vmx_flush_vpid(uint16_t vpid);

/* The VMX-preemption timer's value that runs out when @tsc_ticks have passed, never before. */
uint32_t vmx_timer_value(uint64_t tsc_ticks);
