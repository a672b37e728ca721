/* SPDX-License-Identifier: MIT */
/* arch/x86/mitigation.c: what is made of CPUID and IA32_ARCH_CAPABILITIES, and what a flush does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/mitigation.h"
#include "arch/regs.h"

#define ALL_NO                                                                          \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | \
	 ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_RFDS_NO)

static uint32_t max_leaf, ebx, edx;
static uint64_t arch_capabilities;
static char done[128];

static struct cpuid_regs answer(uint32_t leaf, uint32_t subleaf)
{
	/* Leaf 4 of a Skylake: L1D 32 KiB, L1I, L2, L3, end. */
	static const struct cpuid_regs caches[] = {
		{ 0x121, 0x1c0003f, 0x3f, 0 },
		{ 0x122, 0x1c0003f, 0x3f, 0 },
		{ 0x143, 0x3c0003f, 0x3ff, 0 },
	};

	if (leaf == 0)
		return (struct cpuid_regs){ .eax = max_leaf };
	if (leaf == 4 && subleaf < ARRAY_SIZE(caches))
		return caches[subleaf];
	if (leaf == 7)
		return (struct cpuid_regs){ .ebx = ebx, .edx = edx };
	return (struct cpuid_regs){ 0 };
}
struct cpuid_regs (*fake_cpuid)(uint32_t leaf, uint32_t subleaf) = answer;
uint64_t fake_vmcs[0x8000];
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi;

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_ARCH_CAPABILITIES);
	assert_true(edx & CPUID_7_EDX_ARCH_CAP); /* else a general protection fault */
	return arch_capabilities;
}

static void note(const char *what)
{
	strcat(done, what);
}

void wrmsr(uint32_t msr, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%x=%u ", msr, (unsigned int)v);
	note(text);
}

void load_fence(void)
{
	note("fence ");
}

void verw(const uint16_t *selector)
{
	assert_int_equal(*selector, SEL_DATA);
	note("verw ");
}

void rsb_fill(void)
{
	note("rsb ");
}

static struct mitigation_cpu detect(uint32_t features, uint64_t cap)
{
	struct mitigation_cpu cpu;

	edx = features | (cap ? CPUID_7_EDX_ARCH_CAP : 0);
	arch_capabilities = cap;
	mitigation_detect(&cpu);
	assert_int_equal(cpu.cpuid_7_edx, max_leaf >= 7 ? edx : 0);
	assert_int_equal(cpu.arch_capabilities, cap);
	assert_int_equal(cpu.l1d_bytes, 32768);
	return cpu;
}

static int fresh(void **state)
{
	(void)state;
	max_leaf = 0x16;
	ebx = 0;
	done[0] = '\0';
	return 0;
}

/* A CPU that says nothing has what software can do, and needs everything. */
static void test_silent(void **state)
{
	struct mitigation_cpu cpu = detect(0, 0);

	(void)state;
	assert_int_equal(cpu.has, FLUSH_L1D | FLUSH_RSB);
	assert_int_equal(cpu.needs, FLUSH_L1D | FLUSH_VERW | FLUSH_IBPB | FLUSH_RSB);
	assert_false(cpu.l1d_msr);
	assert_int_equal(cpu.spec_ctrl, 0);
	max_leaf = 6; /* leaf 7 would be another leaf's data */
	edx = ~0u;
	mitigation_detect(&cpu);
	assert_int_equal(cpu.has, FLUSH_L1D | FLUSH_RSB);
	assert_int_equal(cpu.cpuid_7_edx, 0);
}

/* Each bit of CPUID brings its own flush and no other. */
static void test_features(void **state)
{
	struct mitigation_cpu cpu = detect(CPUID_7_EDX_MD_CLEAR, 0);

	(void)state;
	assert_int_equal(cpu.has, FLUSH_L1D | FLUSH_RSB | FLUSH_VERW);
	cpu = detect(CPUID_7_EDX_IBRS, 0);
	assert_int_equal(cpu.has, FLUSH_L1D | FLUSH_RSB | FLUSH_IBPB);
	assert_int_equal(cpu.spec_ctrl, 0);
	cpu = detect(CPUID_7_EDX_L1D_FLUSH, 0);
	assert_int_equal(cpu.has, FLUSH_L1D | FLUSH_RSB);
	assert_true(cpu.l1d_msr);
	cpu = detect(0, ARCH_CAP_IBRS_ALL); /* without the MSR to set it in */
	assert_int_equal(cpu.spec_ctrl, 0);
	cpu = detect(CPUID_7_EDX_IBRS, ARCH_CAP_IBRS_ALL);
	assert_int_equal(cpu.spec_ctrl, SPEC_CTRL_IBRS);
	assert_int_equal(detect(0, ARCH_CAP_FB_CLEAR).has & FLUSH_VERW, FLUSH_VERW);
	assert_int_equal(detect(0, ARCH_CAP_RFDS_CLEAR).has & FLUSH_VERW, FLUSH_VERW);
}

/* Either bit takes the need of an L1D flush away. */
static void test_l1d_needless(void **state)
{
	(void)state;
	assert_false(detect(0, ARCH_CAP_RDCL_NO).needs & FLUSH_L1D);
	assert_false(detect(0, ARCH_CAP_SKIP_L1DFL_VMENTRY).needs & FLUSH_L1D);
	assert_true(detect(0, ARCH_CAP_MDS_NO).needs & FLUSH_L1D);
}

/* VERW is needless only where no single one of its problems is left. */
static void test_verw_needless(void **state)
{
	(void)state;
	ebx = CPUID_7_EBX_RTM;
	assert_false(detect(CPUID_7_EDX_MD_CLEAR, ALL_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RFDS_CLEAR)
			     .needs &
		     FLUSH_VERW);
	assert_true(detect(0, ALL_NO & ~ARCH_CAP_MDS_NO).needs & FLUSH_VERW);
	assert_true(detect(0, ALL_NO & ~ARCH_CAP_TAA_NO).needs & FLUSH_VERW);
	for (unsigned int bit = 13; bit <= 15; bit++)
		assert_true(detect(0, (ALL_NO & ~(1UL << bit)) | ARCH_CAP_FB_CLEAR).needs &
			    FLUSH_VERW);
	assert_true(detect(0, (ALL_NO & ~ARCH_CAP_RFDS_NO) | ARCH_CAP_RFDS_CLEAR).needs &
		    FLUSH_VERW);
	ebx = 0; /* no transactions, nothing to abort */
	assert_false(detect(0, ALL_NO & ~ARCH_CAP_TAA_NO).needs & FLUSH_VERW);
}

/* Branch history first, buffers last, and nothing that was not asked for. */
static void test_flush(void **state)
{
	(void)state;
	mitigation_use(FLUSH_L1D | FLUSH_VERW | FLUSH_IBPB | FLUSH_RSB, NULL, 0);
	mitigation_flush(0);
	assert_string_equal(done, "");
	mitigation_flush(FLUSH_L1D | FLUSH_VERW | FLUSH_IBPB | FLUSH_RSB);
	assert_string_equal(done, "49=1 rsb 10b=1 verw ");
	done[0] = '\0';
	mitigation_flush(FLUSH_VERW | FLUSH_RSB);
	assert_string_equal(done, "rsb verw ");
	done[0] = '\0';
	mitigation_set_spec_ctrl(SPEC_CTRL_IBRS);
	assert_string_equal(done, "48=1 ");
}

/* In software: both passes, within the buffer, which is never written. */
static void test_flush_in_software(void **state)
{
	const size_t len = 65536;
	uint8_t *map = mmap(NULL, len + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + 4096, len, PROT_READ), 0);
	mitigation_use(FLUSH_L1D, map + 4096, len);
	mitigation_flush(FLUSH_L1D | FLUSH_VERW);
	assert_string_equal(done, "fence fence verw ");
	/* Of its first byte only. */
	assert_int_equal(mitigation_set_l1d_len(1), len);
	assert_int_equal(mprotect(map + 8192, len - 4096, PROT_NONE), 0);
	mitigation_flush(FLUSH_L1D);
	assert_int_equal(mitigation_set_l1d_len(len), 1);
	munmap(map, len + 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_silent, fresh),
		cmocka_unit_test_setup(test_features, fresh),
		cmocka_unit_test_setup(test_l1d_needless, fresh),
		cmocka_unit_test_setup(test_verw_needless, fresh),
		cmocka_unit_test_setup(test_flush, fresh),
		cmocka_unit_test_setup(test_flush_in_software, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
