/* SPDX-License-Identifier: MIT */
/* Single-stepping over instructions that exit: one #DB after each, none lost, none doubled. */
#include "guest-tests/exceptions/tests.h"
#include "guest-tests/lib/cpu.h"

enum { STEPS = 5 };

static u64 traps[8];
static unsigned int nr_traps;

static void on_debug(struct trap_frame *f)
{
	if (nr_traps < ARRAY_SIZE(traps))
		traps[nr_traps] = f->rip;
	nr_traps++;
	if (nr_traps > 2 * STEPS)
		f->rflags &= ~RFLAGS_TF;
}

#define STEP(name)                     \
	extern void step_##name(void); \
	extern const u64 step_##name##_trap[STEPS];
STEP(nop)
STEP(cpuid)
STEP(in)
STEP(out)
STEP(rdmsr)
STEP(wrmsr)
STEP(vmcall)
#undef STEP

void check_single_step(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
		const u64 *expected;
		bool hypervisor_only;
	} steps[] = {
		{ "single step over NOP", step_nop, step_nop_trap, false },
		{ "single step over CPUID", step_cpuid, step_cpuid_trap, false },
		{ "single step over IN", step_in, step_in_trap, false },
		{ "single step over OUT", step_out, step_out_trap, false },
		{ "single step over RDMSR", step_rdmsr, step_rdmsr_trap, false },
		{ "single step over WRMSR", step_wrmsr, step_wrmsr_trap, false },
		{ "single step over VMCALL", step_vmcall, step_vmcall_trap, true },
	};
	u64 dr6;

	trap_hook(VEC_DB, on_debug);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].hypervisor_only && !need_hypervisor(steps[i].name))
			continue;
		nr_traps = 0;
		steps[i].run();
		report(nr_traps == STEPS && !memcmp(traps, steps[i].expected, STEPS * sizeof(u64)),
		       steps[i].name, "%u traps, first at 0x%lx, expected 0x%lx", nr_traps,
		       traps[0], steps[i].expected[0]);
		asm volatile("mov %%dr6, %0" : "=r"(dr6));
		report(dr6 & BIT(14), "DR6.BS", "0x%lx after %s", dr6, steps[i].name);
		asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	}
	trap_hook(VEC_DB, NULL);
}
