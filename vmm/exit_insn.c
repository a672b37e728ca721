/* SPDX-License-Identifier: MIT */
/* Exits by instructions that need a few lines each. */
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "vmm/exit.h"
#include "vmm/platform.h"

enum exit_action exit_hlt(struct vcpu *v)
{
	if (!inject_can_wake(v)) {
		platform_halted(v);
		v->state = VCPU_HALTED;
		v->events.due = 0;
	}
	return RESUME_NEXT;
}

/*
 * INVD is never executed for a guest: it would throw away what others have written. Nothing
 * needs to be done for either instruction: no device that we know of bypasses the
 * caches, and all guest memory is write-back and coherent.
 */
enum exit_action exit_cache(struct vcpu *v)
{
	(void)v;
	return RESUME_NEXT;
}

/* Exits only after HC_TSC_EXIT. CR4.TSD has been checked before the exit. */
enum exit_action exit_rdtsc(struct vcpu *v)
{
	uint64_t tsc = rdtsc();

	v->regs[RAX] = (uint32_t)tsc;
	v->regs[RDX] = tsc >> 32;
	if (v->exit_reason == EXIT_REASON_RDTSCP)
		v->regs[RCX] = (uint32_t)rdmsr(MSR_TSC_AUX);
	return RESUME_NEXT;
}

/* CPUID offers no performance counter, so any number in ECX is a wrong one. */
enum exit_action exit_rdpmc(struct vcpu *v)
{
	return exit_gp(v);
}

enum exit_action exit_vmx_insn(struct vcpu *v)
{
	return exit_ud(v);
}

enum exit_action exit_hidden_insn(struct vcpu *v)
{
	return exit_ud(v);
}

enum exit_action exit_pause(struct vcpu *v)
{
	(void)v;
	return RESUME_NEXT;
}
