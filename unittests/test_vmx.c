/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/vmx.c on a CPU whose capabilities are taken away one by one: what is missing is named, in
 * the SDM's words, and nothing that does not exist is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "unittests/fake/vmxcpu.h"

static int reset(void **state)
{
	(void)state;
	fake_cpu_reset();
	return 0;
}

static void assert_supported(void)
{
	const char *missing = "";

	assert_true(vmx_supported(&missing));
	assert_null(missing);
}

static void assert_missing(const char *name)
{
	const char *missing = NULL;

	assert_false(vmx_supported(&missing));
	assert_string_equal(missing, name);
}

static uint64_t *capability(enum vmx_ctl ctl)
{
	uint64_t *all[VMX_CTL_NR] = { &fake_cpu.pin, &fake_cpu.proc, &fake_cpu.proc2,
				      &fake_cpu.exit, &fake_cpu.entry };

	return all[ctl];
}

/* SDM, "VM-execution control fields", "VM-exit controls", "VM-entry controls". */
static const struct {
	enum vmx_ctl ctl;
	unsigned int bit;
	const char *name;
} needed[] = {
	{ VMX_PIN, 0, "external-interrupt exiting" },
	{ VMX_PIN, 3, "NMI exiting" },
	{ VMX_PIN, 5, "virtual NMIs" },
	{ VMX_PIN, 6, "activate VMX-preemption timer" },
	{ VMX_PROC, 31, "activate secondary controls" },
	{ VMX_PROC, 7, "HLT exiting" },
	{ VMX_PROC, 10, "MWAIT exiting" },
	{ VMX_PROC, 29, "MONITOR exiting" },
	{ VMX_PROC, 11, "RDPMC exiting" },
	{ VMX_PROC, 19, "CR8-load exiting" },
	{ VMX_PROC, 20, "CR8-store exiting" },
	{ VMX_PROC, 25, "use I/O bitmaps" },
	{ VMX_PROC, 28, "use MSR bitmaps" },
	{ VMX_PROC, 2, "interrupt-window exiting" },
	{ VMX_PROC, 22, "NMI-window exiting" },
	{ VMX_PROC, 12, "RDTSC exiting" },
	{ VMX_PROC2, 1, "enable EPT" },
	{ VMX_PROC2, 5, "enable VPID" },
	{ VMX_PROC2, 7, "unrestricted guest" },
	{ VMX_PROC2, 6, "WBINVD exiting" },
	{ VMX_EXIT, 9, "host address-space size" },
	{ VMX_EXIT, 2, "save debug controls" },
	{ VMX_EXIT, 18, "save IA32_PAT" },
	{ VMX_EXIT, 19, "load IA32_PAT at VM exit" },
	{ VMX_EXIT, 20, "save IA32_EFER" },
	{ VMX_EXIT, 21, "load IA32_EFER at VM exit" },
	{ VMX_EXIT, 22, "save VMX-preemption timer value" },
	{ VMX_ENTRY, 2, "load debug controls" },
	{ VMX_ENTRY, 14, "load IA32_PAT at VM entry" },
	{ VMX_ENTRY, 15, "load IA32_EFER at VM entry" },
};

static void test_each_control_is_named(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		reset(state);
		*capability(needed[i].ctl) &= ~(BIT(32) << needed[i].bit);
		assert_missing(needed[i].name);
	}
}

/* Controls that must be free to be 0. */
static void test_fixed_controls_are_named(void **state)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} fixed[] = {
		{ 15, "CR3-load exiting off" },	   { 16, "CR3-store exiting off" },
		{ 2, "interrupt-window exiting" }, { 22, "NMI-window exiting" },
		{ 12, "RDTSC exiting" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		reset(state);
		fake_cpu.proc |= BIT(fixed[i].bit);
		assert_missing(fixed[i].name);
	}
}

static void test_optional_controls(void **state)
{
	const uint32_t optional[] = { PROC2_RDTSCP, PROC2_INVPCID };

	(void)state;
	assert_supported();
	for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
		assert_true(vmx_control_word(VMX_PROC2) & optional[i]);
	for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
		reset(state);
		fake_cpu.proc2 &= ~((uint64_t)optional[i] << 32);
		assert_supported();
		assert_int_equal(vmx_control_word(VMX_PROC2) &
					 (PROC2_RDTSCP | PROC2_INVPCID | PROC2_EPT),
				 ((PROC2_RDTSCP | PROC2_INVPCID) & ~optional[i]) | PROC2_EPT);
	}
}

/* A local APIC that the CPU serves: all of it or nothing, and never on from the start. */
static void test_apic_virtualization(void **state)
{
	const uint32_t all = PROC2_X2APIC | PROC2_APIC_REGS | PROC2_VIRTUAL_INTR;

	(void)state;
	assert_supported();
	assert_false(vmx_has_apicv()); /* this model of Bochs's lacks two */
	fake_cpu.proc2 |= (uint64_t)all << 32;
	assert_supported();
	assert_true(vmx_has_apicv());
	assert_int_equal(vmx_control_word(VMX_PROC2) & all, 0);
	assert_int_equal(vmx_control_word(VMX_PROC) & PROC_TPR_SHADOW, 0);
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (!(all & bit))
			continue;
		fake_cpu.proc2 ^= (uint64_t)bit << 32;
		assert_false(vmx_has_apicv());
		fake_cpu.proc2 ^= (uint64_t)bit << 32;
	}
	fake_cpu.proc &= ~((uint64_t)PROC_TPR_SHADOW << 32);
	assert_false(vmx_has_apicv());
	fake_cpu.proc2 &= ~((uint64_t)PROC2_APIC_ACCESS << 32);
	assert_false(vmx_has_apic_access());
	fake_cpu.proc2 |= (uint64_t)PROC2_APIC_ACCESS << 32;
	assert_supported();
	assert_true(vmx_has_apic_access());
	assert_int_equal(vmx_control_word(VMX_PROC2) & PROC2_APIC_ACCESS, 0);
	assert_false(vmx_has_posted_interrupts());
	fake_cpu.pin |= (uint64_t)PIN_POSTED_INTR << 32;
	assert_true(vmx_has_posted_interrupts());
}

/* What the CPU demands, what we want, and nothing else. */
static void test_control_words(void **state)
{
	uint32_t wanted[VMX_CTL_NR] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		wanted[needed[i].ctl] |= 1u << needed[i].bit;
	wanted[VMX_PROC] &= ~(PROC_INTR_WINDOW_EXIT | PROC_NMI_WINDOW_EXIT | PROC_RDTSC_EXIT);
	wanted[VMX_PROC2] |= PROC2_RDTSCP | PROC2_INVPCID;
	fake_cpu.proc2 |= PROC2_DESC_TABLE_EXIT; /* no CPU does; it must be obeyed all the same */
	for (unsigned int round = 0; round < 2; round++) {
		assert_supported();
		for (enum vmx_ctl ctl = 0; ctl < VMX_CTL_NR; ctl++)
			assert_int_equal(vmx_control_word(ctl),
					 wanted[ctl] | (uint32_t)*capability(ctl));
	}
	assert_int_equal(fake_cpu.nr_wrmsr, 0); /* it reads only */
}

static void test_ept_and_vpid(void **state)
{
	static const struct {
		uint64_t bits;
		const char *name;
	} rows[] = {
		{ BIT(6), "EPT with a page-walk length of 4" },
		{ BIT(14), "EPT paging structures of type WB" },
		{ BIT(16), "2-MByte pages in EPT" },
		{ BIT(20), "INVEPT" },
		{ BIT(25) | BIT(26), "single-context or all-context INVEPT" },
		{ BIT(32), "INVVPID" },
		{ BIT(41) | BIT(42), "single-context or all-context INVVPID" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		reset(state);
		fake_cpu.ept_vpid_cap &= ~rows[i].bits;
		assert_missing(rows[i].name);
	}
}

/* The narrowest flush that there is: 1 is single-context, 2 all-context, of both instructions. */
static void test_flushes(void **state)
{
	(void)state;
	assert_supported();
	vmx_flush_ept(0x1234501e);
	assert_int_equal(fake_cpu.inv_type, 1);
	assert_int_equal(fake_cpu.inv_id, 0x1234501e);
	vmx_flush_vpid(7);
	assert_int_equal(fake_cpu.inv_type, 1);
	assert_int_equal(fake_cpu.inv_id, 7);
	fake_cpu.inv_fails = true;
	expect_assert_failure(vmx_flush_ept(0x1000));
	assert_string_equal(fake_panic_text, "INVEPT failed");
	expect_assert_failure(vmx_flush_vpid(1));
	assert_string_equal(fake_panic_text, "INVVPID failed");

	reset(state);
	assert_true(vmx_ept_has_1g());
	fake_cpu.ept_vpid_cap &= ~EPT_CAP_1G;
	fake_cpu.ept_vpid_cap &= ~(EPT_CAP_INVEPT_SINGLE | VPID_CAP_INVVPID_SINGLE);
	assert_supported();
	assert_false(vmx_ept_has_1g());
	vmx_flush_ept(0x1234501e);
	assert_int_equal(fake_cpu.inv_type, 2);
	vmx_flush_vpid(7);
	assert_int_equal(fake_cpu.inv_type, 2);
}

static void test_the_rest_is_named(void **state)
{
	fake_cpu.cpuid_1_ecx &= ~CPUID_1_ECX_VMX; /* no MSR of VMX exists now */
	assert_missing("VMX (CPUID.1:ECX.VMX)");
	reset(state);
	fake_cpu.cpuid_1_ecx &= ~CPUID_1_ECX_XSAVE;
	assert_missing("XSAVE (CPUID.1:ECX.XSAVE)");
	reset(state);
	fake_cpu.basic &= ~BIT(55);
	assert_missing("true VMX controls (IA32_VMX_BASIC bit 55)");
	reset(state);
	fake_cpu.misc &= ~BIT(5);
	assert_missing("storing IA32_EFER.LMA at VM exit (IA32_VMX_MISC bit 5)");
}

static void test_feature_control(void **state)
{
	static const struct {
		uint64_t before, after; /* VMXON allowed, 0: no */
	} cases[] = {
		{ 0, 5 }, /* the firmware left it to us */
		{ 4, 5 }, /* allowed but not locked: VMXON wants both */
		{ 5, 5 }, /* locked on: no write, it would be #GP */
		{ 7, 7 },
		{ 2, 7 },	      /* what SMX has been given stays */
		{ 0x20000, 0x20005 }, /* and so does SGX */
		{ 1, 0 },
		{ 3, 0 }, /* locked off, inside SMX operation only */
	};
	uint32_t region[1024] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		fake_cpu.feature_control = cases[i].before;
		if (!cases[i].after) {
			assert_missing("VMX outside SMX operation: the firmware has locked it off "
				       "(IA32_FEATURE_CONTROL)");
			assert_int_equal(vmx_on(0x5000, region), -ENODEV);
			assert_int_equal(fake_cpu.nr_vmxon, 0);
			assert_int_equal(fake_cpu.cr4, CR4_PAE | CR4_OSXSAVE);
			continue;
		}
		assert_supported();
		assert_int_equal(fake_cpu.feature_control, cases[i].before);
		assert_int_equal(vmx_on(0x5000, region), 0);
		assert_int_equal(fake_cpu.feature_control, cases[i].after);
		assert_int_equal(fake_cpu.nr_wrmsr, cases[i].before != cases[i].after);
	}
}

static void test_vmxon(void **state)
{
	uint32_t region[1024] = { 0 };

	(void)state;
	fake_cpu.basic |= BIT(31); /* no part of the revision */
	fake_cpu.cr0 |= CR0_CD;
	fake_cpu.cr0_fixed1 &= ~CR0_CD;
	assert_int_equal(vmx_revision(), 4);
	assert_int_equal(vmx_on(0x5000, region), 0);
	assert_int_equal(region[0], 4);
	assert_int_equal(region[1], 0);
	assert_int_equal(fake_cpu.vmxon_hpa, 0x5000);
	assert_int_equal(fake_cpu.vmxon_cr0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
	assert_int_equal(fake_cpu.vmxon_cr4, CR4_VMXE | CR4_PAE | CR4_OSXSAVE);
	fake_cpu.vmxon_fails = true;
	assert_int_equal(vmx_on(0x5000, region), -EIO);
}

/* Never before its time: the first step may come at once, and ticks below a step count as one. */
static void test_timer(void **state)
{
	(void)state;
	fake_cpu.misc &= ~0x1fUL;
	assert_supported();
	assert_int_equal(vmx_timer_value(0), 0);
	assert_int_equal(vmx_timer_value(12345), 12345);
	assert_int_equal(vmx_timer_value(BIT(32) - 1), UINT32_MAX);
	assert_int_equal(vmx_timer_value(BIT(32)), UINT32_MAX);
	assert_int_equal(vmx_timer_value(~0UL), UINT32_MAX);
	fake_cpu.misc |= 7;
	assert_supported();
	for (uint64_t ticks = 0; ticks < 1000; ticks++) {
		uint32_t value = vmx_timer_value(ticks);

		assert_true((uint64_t)(value - 1) * 128 >= ticks); /* one step may come at once */
		assert_true(value <= ticks / 128 + 2);
	}
	assert_int_equal(vmx_timer_value(~0UL), UINT32_MAX);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(vmcs_field_name(VMCS_GUEST_RIP), "GUEST_RIP");
	assert_string_equal(vmcs_field_name(0x7ffe), "unknown field");
	assert_string_equal(vmx_error_name(7), "VM entry with invalid control field(s)");
	assert_string_equal(vmx_error_name(0), "unknown error");
	assert_string_equal(vmx_error_name(14), "unknown error");
	assert_string_equal(vmx_error_name(~0u), "unknown error");
	fake_vmcs[VMCS_INSTRUCTION_ERROR] = 13;
	expect_assert_failure(vmcs_fail(VMCS_GUEST_RIP, "write"));
	assert_string_equal(fake_panic_text, "VMCS write of GUEST_RIP (0x681e) failed: "
					     "VMWRITE to read-only VMCS component");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each_control_is_named, reset),
		cmocka_unit_test_setup(test_fixed_controls_are_named, reset),
		cmocka_unit_test_setup(test_optional_controls, reset),
		cmocka_unit_test_setup(test_apic_virtualization, reset),
		cmocka_unit_test_setup(test_control_words, reset),
		cmocka_unit_test_setup(test_ept_and_vpid, reset),
		cmocka_unit_test_setup(test_flushes, reset),
		cmocka_unit_test_setup(test_the_rest_is_named, reset),
		cmocka_unit_test_setup(test_feature_control, reset),
		cmocka_unit_test_setup(test_vmxon, reset),
		cmocka_unit_test_setup(test_timer, reset),
		cmocka_unit_test_setup(test_names, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
