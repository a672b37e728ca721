/* SPDX-License-Identifier: MIT */
/* arch/x86/cpusame.c: each difference is seen and named, and no MSR is read that a CPU need not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpusame.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"

static uint32_t leaf1_ecx, leaf7_edx, leaf80_edx, leaf1_ebx, max_leaf;
static uint64_t basic, proc, proc2, ept, cr0, cr4, pat, arch_cap;

static struct cpuid_regs answer(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid_regs){ .eax = max_leaf };
	case 0x80000000:
		return (struct cpuid_regs){ .eax = 0x80000008 };
	case 1:
		return (struct cpuid_regs){ .eax = 0x50654, .ebx = leaf1_ebx, .ecx = leaf1_ecx };
	case 7:
		assert_true(max_leaf >= 7);
		return (struct cpuid_regs){ .edx = leaf7_edx };
	case 0x80000001:
		return (struct cpuid_regs){ .edx = leaf80_edx };
	}
	return (struct cpuid_regs){ 0 };
}
struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t) = answer;
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi, fake_nr_mc;

uint64_t rdmsr(uint32_t msr)
{
	if (msr >= MSR_VMX_BASIC && msr <= MSR_VMX_TRUE_ENTRY_CTLS)
		assert_true(leaf1_ecx & CPUID_1_ECX_VMX);
	if (msr >= MSR_VMX_TRUE_PIN_CTLS && msr <= MSR_VMX_TRUE_ENTRY_CTLS)
		assert_true(basic & BASIC_TRUE_CTLS);
	switch (msr) {
	case MSR_VMX_BASIC:
		return basic;
	case MSR_VMX_PROC_CTLS:
		return proc;
	case MSR_VMX_PROC2_CTLS:
		assert_true(proc >> 32 & PROC_SECONDARY);
		return proc2;
	case MSR_VMX_EPT_VPID_CAP:
		assert_true(proc2 >> 32 & (PROC2_EPT | PROC2_VPID));
		return ept;
	case MSR_ARCH_CAPABILITIES:
		assert_true(leaf7_edx & CPUID_7_EDX_ARCH_CAP);
		return arch_cap;
	case MSR_PAT:
		return pat;
	}
	return 0;
}

uint64_t read_cr0(void)
{
	return cr0;
}

uint64_t read_cr4(void)
{
	return cr4;
}

static int reset(void **state)
{
	(void)state;
	max_leaf = 0x16;
	leaf1_ebx = 0;
	leaf1_ecx = CPUID_1_ECX_VMX;
	leaf7_edx = CPUID_7_EDX_ARCH_CAP;
	leaf80_edx = CPUID_81_EDX_NX;
	basic = BASIC_TRUE_CTLS;
	proc = (uint64_t)PROC_SECONDARY << 32;
	proc2 = (uint64_t)PROC2_EPT << 32;
	ept = arch_cap = 1;
	cr0 = 0x80010033;
	cr4 = 0x20;
	pat = PAT_RESET;
	cpusame_note();
	return 0;
}

#define EXPECT_DIFFERENCE(what, name)                         \
	do {                                                  \
		const char *differs;                          \
		what;                                         \
		differs = cpusame_differs();                  \
		assert_true(differs &&strstr(differs, name)); \
		reset(NULL);                                  \
		assert_null(cpusame_differs());               \
	} while (0)

static void test_differences(void **state)
{
	(void)state;
	EXPECT_DIFFERENCE(leaf1_ecx |= 1, "leaf 1, ECX");
	EXPECT_DIFFERENCE(leaf1_ecx = 0, "leaf 1, ECX"); /* and no VMX MSR is read any more */
	EXPECT_DIFFERENCE(leaf7_edx = 0, "leaf 7, EDX");
	EXPECT_DIFFERENCE(max_leaf = 1, "leaf 7, EDX");
	EXPECT_DIFFERENCE(leaf80_edx = 0, "0x80000001, EDX");
	EXPECT_DIFFERENCE(arch_cap = 0, "ARCH_CAPABILITIES");
	EXPECT_DIFFERENCE(basic |= 1, "VMX_BASIC");
	EXPECT_DIFFERENCE(proc2 |= (uint64_t)PROC2_VPID << 32, "PROCBASED_CTLS2");
	EXPECT_DIFFERENCE(ept = 3, "EPT_VPID_CAP");
	EXPECT_DIFFERENCE(cr0 |= CR0_CD, "CR0");
	EXPECT_DIFFERENCE(cr4 |= CR4_PGE, "CR4");
	EXPECT_DIFFERENCE(pat ^= 1, "PAT");
}

/* Leaf 1, EBX has the APIC id. */
static void test_what_may_differ(void **state)
{
	(void)state;
	leaf1_ebx = 3 << 24;
	assert_null(cpusame_differs());
}

static void test_without_vmx(void **state)
{
	(void)state;
	leaf1_ecx = leaf7_edx = 0;
	cpusame_note();
	assert_null(cpusame_differs());
	EXPECT_DIFFERENCE(leaf1_ecx = 1, "leaf 1, ECX");
	basic = proc = 0;
	leaf1_ecx = CPUID_1_ECX_VMX;
	cpusame_note();
	assert_null(cpusame_differs());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_differences, reset),
		cmocka_unit_test_setup(test_what_may_differ, reset),
		cmocka_unit_test_setup(test_without_vmx, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
