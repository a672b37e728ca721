/* SPDX-License-Identifier: MIT */
/* arch/x86/topology.c on CPUIDs of each generation, and on senseless ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/topology.h"

static uint32_t max_leaf, id, leaf1_ebx, leaf1_edx, leaf4_eax;
static struct level {
	uint32_t type, shift;
} levels_b[9], levels_1f[9];

static struct cpuid_regs level_of(const struct level *l, uint32_t subleaf)
{
	if (subleaf > 8)
		subleaf = 8;
	return (struct cpuid_regs){ .eax = l[subleaf].shift,
				    .ebx = l[subleaf].type ? 1 : 0,
				    .ecx = l[subleaf].type << 8 | subleaf,
				    .edx = id };
}

static struct cpuid_regs answer(uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case 0:
		return (struct cpuid_regs){ .eax = max_leaf };
	case 1:
		return (struct cpuid_regs){ .ebx = leaf1_ebx | id << 24, .edx = leaf1_edx };
	case 4:
		return (struct cpuid_regs){ .eax = leaf4_eax };
	case 0xb:
		return level_of(levels_b, subleaf);
	case 0x1f:
		return level_of(levels_1f, subleaf);
	}
	fail();
	return (struct cpuid_regs){ 0 };
}
struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t) = answer;
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi, fake_nr_mc;

static void expect(uint32_t package, uint32_t core, uint32_t thread)
{
	struct topology t;

	topology_read(&t);
	assert_int_equal(t.package, package);
	assert_int_equal(t.core, core);
	assert_int_equal(t.thread, thread);
}

static int reset(void **state)
{
	(void)state;
	max_leaf = 0x1f;
	leaf1_ebx = leaf1_edx = leaf4_eax = 0;
	for (unsigned int i = 0; i < 9; i++)
		levels_b[i] = levels_1f[i] = (struct level){ 0, 0 };
	return 0;
}

/* Two threads a core, eight cores a package. */
static void test_leaf_b(void **state)
{
	(void)state;
	max_leaf = 0xb;
	levels_1f[0] = (struct level){ 1, 9 }; /* beyond the last leaf: not to be asked */
	levels_b[0] = (struct level){ 1, 1 };
	levels_b[1] = (struct level){ 2, 4 };
	id = 0x2b;
	expect(2, 5, 1);
	id = 0x12345; /* x2APIC ids have 32 bits */
	expect(0x1234, 2, 1);
	/* Leaf 0x1f that is there, but empty, is none. */
	max_leaf = 0x1f;
	levels_1f[0] = (struct level){ 0, 0 };
	expect(0x1234, 2, 1);
}

/* Dies count as part of the core's number; one thread a core. */
static void test_leaf_1f(void **state)
{
	(void)state;
	levels_b[0] = (struct level){ 1, 1 };
	levels_1f[0] = (struct level){ 1, 0 };
	levels_1f[1] = (struct level){ 2, 3 };
	levels_1f[2] = (struct level){ 5, 5 };
	id = 0x37;
	expect(1, 0x17, 0);
}

static void test_counts(void **state)
{
	(void)state;
	max_leaf = 4;
	leaf1_edx = CPUID_1_EDX_HTT;
	leaf1_ebx = 6 << 16;  /* needs 3 bits */
	leaf4_eax = 2u << 26; /* 3 cores need 2 of them */
	id = 13;
	expect(1, 2, 1);
	leaf1_edx = 0; /* the count means nothing */
	expect(13, 0, 0);
	max_leaf = 1;
	leaf1_edx = CPUID_1_EDX_HTT;
	leaf1_ebx = 2 << 16;
	expect(6, 0, 1);
	leaf1_ebx = 0;
	expect(13, 0, 0);
}

/* Levels without end, the widest shift, and more cores than threads: no undefined shift, and an end. */
static void test_senseless(void **state)
{
	struct topology t;

	(void)state;
	id = UINT32_MAX;
	for (unsigned int i = 0; i < 9; i++)
		levels_1f[i] = (struct level){ 1, 0xffffffff };
	topology_read(&t);
	assert_int_equal(t.package, 1);
	reset(NULL);
	max_leaf = 4;
	leaf1_edx = CPUID_1_EDX_HTT;
	leaf1_ebx = 2 << 16;
	leaf4_eax = 63u << 26;
	id = 3;
	expect(1, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_leaf_b, reset),
		cmocka_unit_test_setup(test_leaf_1f, reset),
		cmocka_unit_test_setup(test_counts, reset),
		cmocka_unit_test_setup(test_senseless, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
