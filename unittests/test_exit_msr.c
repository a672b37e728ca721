/* SPDX-License-Identifier: MIT */
/* vmm/exit_msr.c: what each MSR reads, and what each accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "unittests/fake/vmx.h"
#include "unittests/seed.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"

#define V	 (&fake_vcpu)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct guest_cpu cpu = { .efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
				.misc_enable = 0x1801 };

const struct guest_cpu *guest_cpu(void)
{
	return &cpu;
}

static void check_gp(enum exit_action action)
{
	assert_int_equal(action, RESUME);
	assert_true(V->events.exception);
	assert_int_equal(V->events.vector, VEC_GP);
	assert_true(V->events.has_error_code);
	assert_int_equal(V->events.error_code, 0);
	V->events.exception = false;
}

/* The upper halves of RCX, RAX and RDX do not count. */
static enum exit_action read_msr(uint32_t msr)
{
	V->regs[RCX] = 0xaaaaaaaa00000000 | msr;
	V->regs[RAX] = V->regs[RDX] = ~0UL;
	return exit_rdmsr(V);
}

static enum exit_action write_msr(uint32_t msr, uint64_t value)
{
	V->regs[RCX] = 0xaaaaaaaa00000000 | msr;
	V->regs[RAX] = 0x5555555500000000 | (uint32_t)value;
	V->regs[RDX] = 0x5555555500000000 | value >> 32;
	return exit_wrmsr(V);
}

static void test_reads(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} cases[] = {
		{ MSR_APIC_BASE, 0xfee00100 },
		{ 0x17, 0 }, /* IA32_PLATFORM_ID */
		{ MSR_FEATURE_CONTROL, 1 },
		{ MSR_BIOS_SIGN_ID, 0x100000000 },
		{ MSR_TSC_ADJUST, 0 },
		{ MSR_MTRRCAP, 0 },
		{ MSR_MISC_ENABLE, 0x1801 },
		{ MSR_DEBUGCTL, 0 },
		{ MSR_PAT, PAT_RESET },
		{ MSR_MTRR_DEF_TYPE, 0x806 },
		{ MSR_EFER, EFER_LME | EFER_LMA },
	};

	(void)state;
	fake_vcpu_reset();
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(read_msr(cases[i].msr), RESUME_NEXT);
		assert_int_equal(V->regs[RAX], (uint32_t)cases[i].value);
		assert_int_equal(V->regs[RDX], cases[i].value >> 32);
	}
}

/* All that is not in the table: each small number, and random ones. */
static void test_unknown(void **state)
{
	static const uint32_t known[] = { 0x17, 0x1b,  0x3a,  0x3b,  0x79,  0x8b,
					  0xfe, 0x1a0, 0x1d9, 0x277, 0x2ff, 0xc0000080 };
	static const uint32_t hidden[] = { 0x48,  0x49,	 0xda0, 0x10a, 0x10b,
					   0x480, 0x6e0, 0x800, 0x8ff, 0x4b564d00 };

	(void)state;
	fake_vcpu_reset();
	for (uint32_t i = 0; i < 0x1000 + COUNT(hidden); i++) {
		uint32_t msr = i < 0x1000 ? i : hidden[i - 0x1000];
		bool found = false;

		for (size_t k = 0; k < COUNT(known); k++)
			found |= known[k] == msr;
		if (found)
			continue;
		check_gp(read_msr(msr));
		check_gp(write_msr(msr, 0));
	}
	check_gp(read_msr(0x79));     /* write-only */
	check_gp(write_msr(0x17, 0)); /* read-only */
	seed_start(7);
	for (int i = 0; i < 10000; i++) {
		uint32_t msr = (uint32_t)seed_below(1UL << 32);

		if (msr >= 0x1000 && msr != MSR_EFER)
			check_gp(write_msr(msr, seed_below(~0UL)));
	}
}

static void test_writes(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
		bool ok;
	} cases[] = {
		{ MSR_TSC, 0, false },
		{ MSR_TSC_ADJUST, 0, true }, /* only what it reads */
		{ MSR_TSC_ADJUST, 1, false },
		{ MSR_APIC_BASE, 0xfee00100, true },
		{ MSR_APIC_BASE, 0xfee00900, false },
		{ MSR_APIC_BASE, 0xfee01100, false },
		{ MSR_FEATURE_CONTROL, 1, false },
		{ MSR_FEATURE_CONTROL, 5, false },
		{ 0x79, 0x12345678, true },
		{ MSR_BIOS_SIGN_ID, 0, true },
		{ MSR_MTRRCAP, 0, false },
		{ MSR_MISC_ENABLE, 0, true },
		{ MSR_DEBUGCTL, 0, true },
		{ MSR_DEBUGCTL, 1, false },
		{ MSR_MTRR_DEF_TYPE, 0, true },
		{ MSR_PAT, PAT_RESET, true },
		{ MSR_PAT, 0x0007010600070406, true },
		{ MSR_PAT, 0x0007040600070402, false },
		{ MSR_PAT, 0x0307040600070406, false },
		{ MSR_PAT, 0x0807040600070406, false },
		{ MSR_PAT, 0x8007040600070406, false },
	};

	(void)state;
	fake_vcpu_reset();
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum exit_action action = write_msr(cases[i].msr, cases[i].value);

		if (cases[i].ok)
			assert_int_equal(action, RESUME_NEXT);
		else
			check_gp(action);
	}
	assert_int_equal(vmcs_read(VMCS_GUEST_PAT), 0x0007010600070406);
	assert_int_equal(read_msr(MSR_MTRR_DEF_TYPE), RESUME_NEXT);
	assert_int_equal(V->regs[RAX], 0x806);
}

/* Every single bit, and LME, LMA, NXE with paging on and off. */
static void test_efer(void **state)
{
	static const struct {
		bool paging;
		uint64_t old, value, result; /* result 0: #GP */
	} cases[] = {
		{ false, EFER_SCE, EFER_SCE | EFER_LME, EFER_SCE | EFER_LME },
		{ false, EFER_LME, EFER_SCE, EFER_SCE },
		{ false, EFER_LME, EFER_LME | EFER_LMA, EFER_LME }, /* LMA: ignored */
		{ true, EFER_LME | EFER_LMA, EFER_LME | EFER_NXE, EFER_LME | EFER_LMA | EFER_NXE },
		{ true, EFER_LME | EFER_LMA, EFER_NXE, 0 },
		{ true, EFER_SCE, EFER_LME, 0 },
		{ true, EFER_SCE, EFER_SCE | EFER_NXE, EFER_SCE | EFER_NXE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum exit_action action;

		fake_vcpu_reset();
		vmcs_write(VMCS_GUEST_CR0, cases[i].paging ? CR0_PG | CR0_PE : CR0_PE);
		vmcs_write(VMCS_GUEST_EFER, cases[i].old);
		action = write_msr(MSR_EFER, cases[i].value);
		if (!cases[i].result) {
			check_gp(action);
			assert_int_equal(vmcs_read(VMCS_GUEST_EFER), cases[i].old);
			continue;
		}
		assert_int_equal(action, RESUME_NEXT);
		assert_int_equal(vmcs_read(VMCS_GUEST_EFER), cases[i].result);
		assert_int_equal(fake_nr_invvpid,
				 (cases[i].old ^ cases[i].result) & EFER_NXE ? 1 : 0);
	}
	fake_vcpu_reset();
	for (unsigned int bit = 0; bit < 64; bit++)
		if (!(cpu.efer >> bit & 1))
			check_gp(write_msr(MSR_EFER, EFER_LME | 1UL << bit));
	cpu.efer &= ~EFER_NXE;
	check_gp(write_msr(MSR_EFER, EFER_LME | EFER_NXE));
	cpu.efer |= EFER_NXE;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_efer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
