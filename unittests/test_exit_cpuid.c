/* SPDX-License-Identifier: MIT */
/* vmm/exit_cpuid.c: what is hidden, what follows the guest's registers, what lies out of range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/bitops.h"
#include "unittests/fake/vmx.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"

#define V (&fake_vcpu)

/* The CPU of the test has every bit of every leaf up to here. */
static uint32_t host_max = 0x20, host_max_extended = 0x80000020;

static struct cpuid_regs host(uint32_t leaf, uint32_t subleaf)
{
	/* As on a CPU of the time: where each state component stands. */
	static const struct cpuid_regs xsave[] = {
		[2] = { 256, 576, 0, 0 },
		[5] = { 64, 1088, 0, 0 },
		[6] = { 512, 1152, 2, 0 },
		[7] = { 1024, 1664, 2, 0 },
	};

	assert_true(leaf <= (leaf >> 31 ? host_max_extended : host_max));
	if (leaf == 0)
		return (struct cpuid_regs){ host_max, 0x756e6547, 0x6c65746e, 0x49656e69 };
	if (leaf == 0x80000000)
		return (struct cpuid_regs){ host_max_extended, 0, 0, 0 };
	if (leaf == 0x80000008)
		return (struct cpuid_regs){ 0x3928, ~0u, ~0u, ~0u };
	if (leaf == 0xd && subleaf >= 2)
		return subleaf < 8 ? xsave[subleaf] : (struct cpuid_regs){ 1, 1, 1, 1 };
	return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
}

static bool xsavec_works = true;

bool fpu_xsavec_works(void)
{
	return xsavec_works;
}

static uint64_t host_misc_enable = ~0UL;

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_MISC_ENABLE);
	return host_misc_enable;
}

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
}

static struct cpuid_regs guest(uint32_t leaf, uint32_t subleaf)
{
	V->regs[RAX] = 0xbadbadba00000000 | leaf;
	V->regs[RCX] = 0x1234567800000000 | subleaf;
	assert_int_equal(exit_cpuid(V), RESUME_NEXT);
	for (int i = RAX; i <= RBX; i++)
		assert_int_equal(V->regs[i] >> 32, 0);
	return (struct cpuid_regs){ (uint32_t)V->regs[RAX], (uint32_t)V->regs[RBX],
				    (uint32_t)V->regs[RCX], (uint32_t)V->regs[RDX] };
}

static bool is_zero(struct cpuid_regs r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

static int start(void **state)
{
	(void)state;
	fake_cpuid = host;
	fake_vcpu_reset();
	fake_control_words[VMX_PROC2] = PROC2_RDTSCP | PROC2_INVPCID;
	host_max = 0x20;
	exit_cpuid_init();
	return 0;
}

static void test_hidden(void **state)
{
	struct cpuid_regs one = guest(1, 0), seven = guest(7, 0);

	(void)state;
	/* DTES64 MONITOR DS-CPL VMX SMX EIST TM2 SDBG xTPR PDCM DCA x2APIC TSC-deadline */
	assert_int_equal(one.ecx & (BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) |
				    BIT(11) | BIT(14) | BIT(15) | BIT(18) | BIT(21) | BIT(24)),
			 0);
	assert_true(one.ecx & BIT(31));
	/* MCE APIC MCA PSN DS ACPI HTT TM PBE */
	assert_int_equal(one.edx & (BIT(7) | BIT(9) | BIT(14) | BIT(18) | BIT(21) | BIT(22) |
				    BIT(28) | BIT(29) | BIT(31)),
			 0);
	assert_int_equal(one.ebx, 0x0001ffff);
	assert_int_equal(seven.eax, 0);
	/* SGX HLE RTM RDT MPX PT */
	assert_int_equal(
		seven.ebx & (BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25)), 0);
	/* PKU OSPKE WAITPKG CET_SS LA57 */
	assert_int_equal(seven.ecx & (BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16)), 0);
	/* AMX, IBRS, STIBP, L1D_FLUSH, ARCH_CAP, CORE_CAP, SSBD */
	assert_int_equal(seven.edx & (BITS(31, 26) | BIT(22) | BIT(24) | BIT(25)), 0);
	for (uint32_t sub = 1; sub < 40; sub++)
		assert_true(is_zero(guest(7, sub)));
}

/* The local APIC's bits, as it is switched on and off. */
static void test_apic(void **state)
{
	uint32_t regs[LAPIC_REGS_NR][4];
	struct lapic lapic = { .regs = regs };

	(void)state;
	fake_vcpu.lapic = &lapic;
	lapic_init(V);
	assert_int_equal(guest(1, 0).ecx & (BIT(21) | BIT(24)), BIT(21) | BIT(24));
	assert_true(guest(1, 0).edx & BIT(9));
	assert_true(lapic_wrmsr(&fake_vcpu, 0x1b, 0xfee00100));
	assert_false(guest(1, 0).edx & BIT(9));
	assert_true(lapic_wrmsr(&fake_vcpu, 0x1b, 0xfee00900));
	assert_true(guest(1, 0).edx & BIT(9));
}

static void test_zero_leaves(void **state)
{
	static const uint32_t leaves[] = { 3,	5,    8,    9,	  0xa,	0xc,  0xe,
					   0xf, 0x10, 0x11, 0x12, 0x13, 0x14, 0x80000005 };

	(void)state;
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		for (uint32_t sub = 0; sub < 4; sub++)
			assert_true(is_zero(guest(leaves[i], sub)));
	/* ARAT, and nothing else of the host's power. */
	assert_int_equal(guest(6, 0).eax, BIT(2));
	assert_int_equal(guest(6, 1).ebx | guest(6, 1).ecx | guest(6, 1).edx, 0);
}

static void test_hypervisor_leaves(void **state)
{
	struct cpuid_regs r = guest(0x40000000, 3);
	uint32_t text[] = { r.ebx, r.ecx, r.edx };

	(void)state;
	assert_int_equal(r.eax, 0x40000000);
	assert_memory_equal(text, "VestibuleHv", 12);
	for (uint32_t leaf = 0x40000001; leaf <= 0x40010000; leaf += 0xff)
		assert_true(is_zero(guest(leaf, 0)));
	assert_true(is_zero(guest(0x4fffffff, 0)));
}

/* Above the highest leaf comes the highest basic leaf, as the SDM says. */
static void test_out_of_range(void **state)
{
	static const uint32_t leaves[] = { 0x17, 0x20, 0x7fffffff, 0x80000009, 0xffffffff };
	struct cpuid_regs last = guest(0x16, 0);

	(void)state;
	assert_int_equal(guest(0, 0).eax, 0x16);
	assert_int_equal(guest(0x80000000, 0).eax, 0x80000008);
	for (size_t i = 0; i < 5; i++) {
		struct cpuid_regs r = guest(leaves[i], 0);

		assert_memory_equal(&r, &last, sizeof(r));
	}
}

static void test_follows_guest(void **state)
{
	(void)state;
	assert_false(guest(1, 0).ecx & CPUID_1_ECX_OSXSAVE);
	V->cr4_guest |= CR4_OSXSAVE;
	assert_true(guest(1, 0).ecx & CPUID_1_ECX_OSXSAVE);
	assert_int_equal(guest(0xd, 0).eax, 0xe7);
	assert_int_equal(guest(0xd, 0).ebx, 576);
	assert_int_equal(guest(0xd, 0).ecx, 2688);
	assert_int_equal(guest(0xd, 1).eax, 7);
	V->xcr0 = 7;
	assert_int_equal(guest(0xd, 0).ebx, 832);
	assert_int_equal(guest(0xd, 1).ebx, 832);
	V->xcr0 = 0xe7;
	assert_int_equal(guest(0xd, 0).ebx, 2688);
	assert_int_equal(guest(0xd, 1).ebx, 896 + 512 + 1024);
	assert_int_equal(guest(0xd, 2).ebx, 576);
	assert_true(is_zero(guest(0xd, 3)));
	assert_true(is_zero(guest(0xd, 9)));
	assert_true(is_zero(guest(0xd, 63)));
}

/* One CPU, and the clock that was measured. */
static void test_topology_and_clock(void **state)
{
	struct cpuid_regs clock = guest(0x15, 0);

	(void)state;
	assert_int_equal(guest(4, 0).eax >> 14, 0);
	assert_int_equal(guest(0xb, 0).ebx, 1);
	assert_int_equal(guest(0xb, 0).ecx, 0x100);
	assert_int_equal(guest(0xb, 1).ecx, 0x201);
	assert_int_equal(guest(0xb, 2).ebx, 0);
	assert_int_equal(guest(0xb, 2).ecx, 2);
	assert_int_equal((uint64_t)clock.ecx * clock.ebx / clock.eax, 2000000000);
	assert_int_equal(guest(0x16, 0).eax, 2000);
	assert_int_equal(guest(0x80000008, 0).eax, 0x3028);
}

/*
 * Each vCPU is a core of its own in one package. SDM, "CPUID", leaves 1, 4 and 0Bh: what software counts CPUs by, and
 * takes their APIC IDs apart.
 */
static void test_topology(void **state)
{
	static const struct {
		uint32_t cpus, bits; /* bits of the APIC ID that tell cores apart */
	} cases[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 8, 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t cpus = cases[i].cpus;

		fake_vm.options.cpus = cpus;
		for (uint32_t id = 0; id < cpus; id++) {
			struct cpuid_regs one, cache, thread, core, none;

			V->id = id;
			one = guest(1, 0);
			cache = guest(4, 2);
			thread = guest(0xb, 0);
			core = guest(0xb, 1);
			none = guest(0xb, 2);
			assert_int_equal(one.ebx >> 24, id);
			assert_int_equal(one.ebx >> 16 & 0xff, cpus);
			assert_int_equal(one.edx >> 28 & 1, cpus > 1); /* HTT */
			assert_int_equal((cache.eax >> 26) + 1, cpus); /* cores of the package */
			assert_int_equal(cache.eax >> 14 & 0xfff, 0);  /* none shares the cache */
			assert_int_equal(thread.eax, 0);
			assert_int_equal(thread.ebx, 1);
			assert_int_equal(thread.ecx, 1 << 8);
			assert_int_equal(core.eax, cases[i].bits);
			assert_int_equal(core.ebx, cpus);
			assert_int_equal(core.ecx, 2 << 8 | 1);
			assert_int_equal(none.eax | none.ebx, 0);
			assert_int_equal(none.ecx, 2); /* no such level: type 0 */
			assert_int_equal(thread.edx, id);
			assert_int_equal(core.edx, id);
			assert_int_equal(none.edx, id);
			assert_int_equal(id >> core.eax, 0); /* the package's ID */
			/* The rest is the same on all. */
			assert_int_equal(one.ebx & 0xffff, 0xffff);
		}
	}
}

/* A cache that is not there has no cores that share it. */
static void test_no_cache(void **state)
{
	(void)state;
	fake_vm.options.cpus = 8;
	host_max = 3;
	exit_cpuid_init();
	assert_true(is_zero(guest(4, 0)));
}

static void test_offered_registers(void **state)
{
	(void)state;
	assert_int_equal(guest_cpu()->cr4 & (CR4_VMXE | CR4_SMXE | CR4_PKE | CR4_LA57 | CR4_MCE),
			 0);
	assert_true(guest_cpu()->cr4 & CR4_PCIDE);
	assert_int_equal(guest_cpu()->xcr0, 0xe7);
	assert_int_equal(guest_cpu()->phys_mask, 0xffffffffff);
	assert_true(guest_cpu()->efer & EFER_NXE);
	/* Fast strings are what they are, and nothing else of the host's. */
	assert_int_equal(guest_cpu()->misc_enable, 0x1801);
	host_misc_enable = 0x850088;
	exit_cpuid_init();
	assert_int_equal(guest_cpu()->misc_enable, 0x1800);
	assert_int_equal(guest(7, 0).ebx & BIT(9), 0); /* ERMS and FSRM follow */
	assert_int_equal(guest(7, 0).edx & BIT(4), 0);
	host_misc_enable = 1;
	exit_cpuid_init();
	assert_int_equal(guest(7, 0).ebx & BIT(9), BIT(9));
	assert_int_equal(guest(7, 0).edx & BIT(4), BIT(4));
}

static void test_controls(void **state)
{
	(void)state;
	assert_true(guest(7, 0).ebx & CPUID_7_EBX_INVPCID);
	assert_true(guest(0x80000001, 0).edx & CPUID_81_EDX_RDTSCP);
	fake_control_words[VMX_PROC2] = 0;
	exit_cpuid_init();
	assert_false(guest(7, 0).ebx & CPUID_7_EBX_INVPCID);
	assert_false(guest(0x80000001, 0).edx & CPUID_81_EDX_RDTSCP);
}

/* XSAVEC goes if the CPU has it wrong, XSAVEOPT and XGETBV(1) stay. */
static void test_wrong_xsavec(void **state)
{
	(void)state;
	assert_int_equal(guest(0xd, 1).eax, 7);
	xsavec_works = false;
	exit_cpuid_init();
	assert_int_equal(guest(0xd, 1).eax, 5);
	assert_int_equal(guest(0xd, 1).ebx, 0); /* the size of what XSAVEC would write */
	xsavec_works = true;
}

/* A host without leaf 7 and above: what it lacks reads 0, our own leaves stay. */
static void test_old_host(void **state)
{
	(void)state;
	host_max = 6;
	exit_cpuid_init();
	assert_int_equal(guest(7, 0).ebx, BIT(1)); /* TSC_ADJUST, whatever the host has */
	assert_int_equal(guest(0, 0).eax, 0x16);
	assert_int_equal(guest(0xb, 0).ebx, 1);
	assert_int_equal(guest(0x16, 0).eax, 2000);
	assert_false(guest_cpu()->cr4 & CR4_SMEP);
	assert_int_equal(guest_cpu()->xcr0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hidden, start),
		cmocka_unit_test_setup(test_apic, start),
		cmocka_unit_test_setup(test_zero_leaves, start),
		cmocka_unit_test_setup(test_hypervisor_leaves, start),
		cmocka_unit_test_setup(test_out_of_range, start),
		cmocka_unit_test_setup(test_follows_guest, start),
		cmocka_unit_test_setup(test_topology_and_clock, start),
		cmocka_unit_test_setup(test_topology, start),
		cmocka_unit_test_setup(test_no_cache, start),
		cmocka_unit_test_setup(test_offered_registers, start),
		cmocka_unit_test_setup(test_controls, start),
		cmocka_unit_test_setup(test_wrong_xsavec, start),
		cmocka_unit_test_setup(test_old_host, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
