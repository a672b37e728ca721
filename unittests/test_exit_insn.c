/* SPDX-License-Identifier: MIT */
/* vmm/exit_insn.c: HLT, the time stamp counter, and instructions that a guest does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "unittests/fake/vmx.h"
#include "vmm/exit.h"

#define V    (&fake_vcpu)
#define DIRT 0xdeadbeefdeadbeefUL

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_TSC_AUX);
	return DIRT << 32 | 0x12345678; /* its upper half is reserved; whatever is in it stays */
}

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	V->events.due = 1000;
	for (unsigned int i = 0; i < GPR_NR; i++)
		V->regs[i] = DIRT;
	return 0;
}

/* Whether the vCPU is halted after HLT, and how much the exit path has left to do. */
static void hlt(enum vcpu_state state, uint64_t due)
{
	assert_int_equal(exit_hlt(V), RESUME_NEXT);
	assert_int_equal(V->state, state);
	assert_int_equal(V->events.due, due);
}

static void test_hlt_with_nothing_pending(void **state)
{
	(void)state;
	hlt(VCPU_HALTED, 0);
}

static void test_hlt_with_exception(void **state)
{
	inject_exception(V, VEC_UD);
	V->events.due = 1000;
	hlt(VCPU_RUNNABLE, 1000);
	reset(state);
	V->events.reinject_info = INTR_INFO_VALID | INTR_TYPE_EXT_INT | 32;
	hlt(VCPU_RUNNABLE, 1000);
}

/* Blocked by an NMI whose handler has not returned, the next one wakes nobody. */
static void test_hlt_with_nmi(void **state)
{
	inject_nmi(V);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI);
	hlt(VCPU_RUNNABLE, 0);
	reset(state);
	inject_nmi(V);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_NMI);
	hlt(VCPU_HALTED, 0);
}

/* STI; HLT: the shadow of STI is over once HLT has been executed. */
static void test_hlt_with_irq(void **state)
{
	inject_irq(V, 32);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI);
	hlt(VCPU_RUNNABLE, 0);
	reset(state);
	inject_irq(V, 255);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	hlt(VCPU_RUNNABLE, 0);
	reset(state);
	inject_irq(V, 32); /* with interrupts off */
	hlt(VCPU_HALTED, 0);
}

static void test_rdtsc(void **state)
{
	(void)state;
	fake_tsc = 0x123456789abcdef0;
	V->exit_reason = EXIT_REASON_RDTSC;
	assert_int_equal(exit_rdtsc(V), RESUME_NEXT);
	/* SDM: "the high-order 32 bits of each of RAX and RDX are cleared". */
	assert_int_equal(V->regs[RAX], 0x9abcdef0);
	assert_int_equal(V->regs[RDX], 0x12345678);
	assert_int_equal(V->regs[RCX], DIRT);
	V->exit_reason = EXIT_REASON_RDTSCP;
	fake_tsc++;
	assert_int_equal(exit_rdtsc(V), RESUME_NEXT);
	assert_int_equal(V->regs[RAX], 0x9abcdef1);
	assert_int_equal(V->regs[RDX], 0x12345678);
	assert_int_equal(V->regs[RCX], 0x12345678);
}

static void test_faults(void **state)
{
	static const struct {
		enum exit_action (*exit)(struct vcpu *v);
		uint8_t vector;
	} cases[] = {
		{ exit_rdpmc, VEC_GP },
		{ exit_vmx_insn, VEC_UD },
		{ exit_hidden_insn, VEC_UD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		assert_int_equal(cases[i].exit(V), RESUME); /* a fault points at its instruction */
		assert_true(V->events.exception);
		assert_int_equal(V->events.vector, cases[i].vector);
		assert_int_equal(V->events.has_error_code, cases[i].vector == VEC_GP);
		assert_int_equal(V->events.error_code, 0);
		assert_int_equal(V->events.due, 0);
		for (unsigned int reg = 0; reg < GPR_NR; reg++)
			assert_int_equal(V->regs[reg], DIRT);
	}
}

static void test_skipped(void **state)
{
	enum exit_action (*const skipped[])(struct vcpu *) = { exit_cache, exit_pause };

	for (size_t i = 0; i < ARRAY_SIZE(skipped); i++) {
		reset(state);
		assert_int_equal(skipped[i](V), RESUME_NEXT);
		assert_int_equal(V->state, VCPU_RUNNABLE);
		assert_false(V->events.exception);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hlt_with_nothing_pending, reset),
		cmocka_unit_test_setup(test_hlt_with_exception, reset),
		cmocka_unit_test_setup(test_hlt_with_nmi, reset),
		cmocka_unit_test_setup(test_hlt_with_irq, reset),
		cmocka_unit_test_setup(test_rdtsc, reset),
		cmocka_unit_test_setup(test_faults, reset),
		cmocka_unit_test_setup(test_skipped, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
