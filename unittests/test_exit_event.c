/* SPDX-License-Identifier: MIT */
/* vmm/exit_event.c: what becomes of exceptions and NMIs, and how VMs end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "unittests/fake/vmx.h"
#include "vmm/exit.h"

#define V (&fake_vcpu)

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	fake_dr6 = DR6_FIXED;
	return 0;
}

static enum exit_action exception(uint32_t info)
{
	vmcs_write(VMCS_EXIT_INTR_INFO, INTR_INFO_VALID | info);
	return exit_exception_nmi(V);
}

static void test_nmi(void **state)
{
	(void)state;
	assert_int_equal(exception(INTR_TYPE_NMI | VEC_NMI), RESUME);
	assert_int_equal(fake_nr_nmi, 1);
	assert_false(V->events.nmi); /* it was the host's */
}

/* DR6 as the qualification says: B0-B3 replaced, BS and BD added, RTM and BLD active low. */
static void test_debug(void **state)
{
	static const struct {
		uint64_t before, qual, after;
	} cases[] = {
		{ 0xffff0ff0, 0x4000, 0xffff4ff0 }, { 0xffff4ff3, 0x0004, 0xffff4ff4 },
		{ 0xffff0ff0, 0x2001, 0xffff2ff1 }, { 0xffff0ff0, 0x10002, 0xfffe0ff2 },
		{ 0xffff0ff0, 0x0800, 0xffff07f0 }, { 0xfffe07f0, 0x4000, 0xffff4ff0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset(state);
		fake_dr6 = cases[i].before;
		vmcs_write(VMCS_EXIT_QUAL, cases[i].qual);
		vmcs_write(VMCS_GUEST_DR7, DR7_FIXED | 0x2003);
		assert_int_equal(exception(INTR_TYPE_HW_EXCEPTION | VEC_DB), RESUME);
		assert_int_equal(fake_dr6, cases[i].after);
		assert_int_equal(vmcs_read(VMCS_GUEST_DR7), DR7_FIXED | 3);
		assert_int_equal(V->events.reinject_info, 0x80000301);
		assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DBG), 0);
	}
}

static void test_int1_and_alignment(void **state)
{
	(void)state;
	vmcs_write(VMCS_EXIT_INSN_LEN, 1);
	assert_int_equal(exception(INTR_TYPE_PRIV_SW_EXCEPTION | VEC_DB), RESUME);
	assert_int_equal(fake_dr6, DR6_FIXED);
	assert_int_equal(V->events.reinject_info, 0x80000501);
	assert_int_equal(V->events.reinject_len, 1);
	reset(state);
	assert_int_equal(exception(INTR_TYPE_HW_EXCEPTION | INTR_INFO_ERROR_CODE |
				   INTR_INFO_NMI_UNBLOCK | VEC_AC),
			 RESUME);
	assert_int_equal(V->events.reinject_info, 0x80000b11);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* A single step behind STI: VM entry wants it pending. */
static void test_step_in_shadow(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_TF);
	assert_int_equal(exception(INTR_TYPE_HW_EXCEPTION | VEC_DB), RESUME);
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DBG), PENDING_DBG_BS);
}

static void test_ends(void **state)
{
	static const struct {
		enum exit_action (*exit)(struct vcpu *v);
		const char *reason;
	} cases[] = {
		{ exit_task_switch, "task-switch" },
		{ exit_triple_fault, "triple-fault" },
		{ exit_entry_failure, "entry-failure" },
		{ exit_unhandled, "unhandled" },
	};

	for (size_t i = 0; i < 4; i++) {
		reset(state);
		assert_int_equal(cases[i].exit(V), STOP_VM);
		assert_int_equal(fake_vm.verdict, VERDICT_STOPPED);
		assert_string_equal(fake_vm.reason, cases[i].reason);
	}
	reset(state);
	assert_int_equal(exception(INTR_TYPE_HW_EXCEPTION | VEC_UD), STOP_VM);
	assert_string_equal(fake_vm.reason, "unhandled");
}

/* They are the machine's: the host's handler has them, and decides whether there is a way on. */
static void test_machine_checks(void **state)
{
	(void)state;
	assert_int_equal(exception(INTR_TYPE_HW_EXCEPTION | VEC_MC), RESUME);
	assert_int_equal(fake_nr_mc, 1);
	assert_int_equal(V->events.reinject_info, 0);
	V->exit_reason = EXIT_REASON_ENTRY_MACHINE_CHECK;
	assert_int_equal(exit_entry_failure(V), STOP_VM);
	assert_int_equal(fake_nr_mc, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nmi, reset),
		cmocka_unit_test(test_debug),
		cmocka_unit_test_setup(test_int1_and_alignment, reset),
		cmocka_unit_test_setup(test_step_in_shadow, reset),
		cmocka_unit_test(test_ends),
		cmocka_unit_test_setup(test_machine_checks, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
