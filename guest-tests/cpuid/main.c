/* SPDX-License-Identifier: MIT */
/*
 * cpuid: the processor that the guest is told it has.
 *
 * Why: CPUID always exits, so the hypervisor composes every leaf. A leaf passed through
 * unmasked offers what is not there (VMX), a stale one contradicts CR4 or XCR0, and a leaf in
 * 0x400000xx without an interface behind it sends guest kernels astray.
 * Expected: pass.
 */
#include "guest-tests/lib/cpu.h"

static void check_basic(void)
{
	struct cpuid r = cpuid(0, 0), one = cpuid(1, 0);
	char vendor[13] = { 0 };

	memcpy(vendor, &r.ebx, 4);
	memcpy(vendor + 4, &r.edx, 4);
	memcpy(vendor + 8, &r.ecx, 4);
	print("vendor %s, highest leaf 0x%x, 1:ecx 0x%x 1:edx 0x%x\n", vendor, r.eax, one.ecx,
	      one.edx);
	report(r.eax >= 1 && r.eax < 0x100, "highest basic leaf", "0x%x", r.eax);
	/* Nobody is certain to be AMD or Intel here, but the string is one that exists. */
	report(!memcmp(vendor, "GenuineIntel", 12) || !memcmp(vendor, "AuthenticAMD", 12),
	       "vendor kept", "%s", vendor);
	report_strict("VMX hidden", one.ecx >> 5 & 1, 0);
	report_strict("SMX hidden", one.ecx >> 6 & 1, 0);
	report_strict("hypervisor bit set", one.ecx >> 31, 1);
	report((one.edx & 0x61) == 0x61, "PSE, PAE and MSR offered", "1:edx 0x%x", one.edx);
	report(cpuid(0x80000000, 0).eax >= 0x80000001, "extended leaves", "none");
	report(cpuid(0x80000001, 0).edx >> 29 & 1, "long mode offered", "80000001:edx bit 29");
	report_eq("leaf 1 twice", cpuid(1, 0).eax, one.eax);
}

static void check_hypervisor(void)
{
	struct cpuid r = cpuid(0x40000000, 0);
	u32 junk = 0;

	if (!need_hypervisor("signature"))
		return;
	report(!memcmp(&r.ebx, "Vest", 4) && !memcmp(&r.ecx, "ibul", 4) &&
		       !memcmp(&r.edx, "eHv", 4),
	       "signature", "ebx 0x%x ecx 0x%x edx 0x%x", r.ebx, r.ecx, r.edx);
	report(r.eax >= 0x40000000 && r.eax < 0x40000100, "highest hypervisor leaf", "0x%x", r.eax);
	for (u32 leaf = 0x40000100; leaf < 0x40010000; leaf += 0x100) {
		r = cpuid(leaf, 0);
		junk |= r.eax | r.ebx | r.ecx | r.edx;
	}
	report_eq("no other hypervisor interface", junk, 0);
}

static void check_out_of_range(void)
{
	static const u32 leaves[] = { 0x100,	  0x3fffffff, 0x4000ffff, 0x7fffffff,
				      0x8000ffff, 0xc0000000, 0xffffffff };
	unsigned int done = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(leaves); i++) {
		for (u32 sub = 0; sub < 3; sub++, done++)
			cpuid(leaves[i], sub - 1);
	}
	report_eq("leaves out of range do not fault", done, 3 * ARRAY_SIZE(leaves));
}

/* The upper halves of the four registers are cleared, as for every 32-bit result. */
static void check_upper_halves(void)
{
	u64 a = ~0ull << 32, b = ~0ull << 32, c = ~0ull << 32, d = ~0ull << 32;

	asm volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	report_eq("upper halves cleared", (a | b | c | d) >> 32, 0);
}

/* Leaf 0xd sizes for the value in XCR0: 576 bytes of legacy area and header, then AVX. */
static void check_xsave(void)
{
	u64 cr4 = read_cr4();
	u64 offered = (u64)cpuid(0xd, 0).edx << 32 | cpuid(0xd, 0).eax;
	struct cpuid avx = cpuid(0xd, 2);

	if (!(cpuid(1, 0).ecx & BIT(26))) {
		skip("OSXSAVE follows CR4", "no XSAVE");
		return;
	}
	try_cr4(cr4 & ~CR4_OSXSAVE);
	report_eq("OSXSAVE clear", cpuid(1, 0).ecx >> 27 & 1, 0);
	report_eq("CR4.OSXSAVE accepted", try_cr4(cr4 | CR4_OSXSAVE), TRAP_NONE);
	report_eq("OSXSAVE set", cpuid(1, 0).ecx >> 27 & 1, 1);
	report_eq("leaf 0xd offers x87 and SSE", offered & 3, 3);
	report_eq("XCR0 = 1", try_xsetbv(0, 1), TRAP_NONE);
	report_eq("size for x87", cpuid(0xd, 0).ebx, 576);
	report_eq("XCR0 = 3", try_xsetbv(0, 3), TRAP_NONE);
	report_eq("size for SSE", cpuid(0xd, 0).ebx, 576);
	if (offered & 4) {
		report_eq("XCR0 = 7", try_xsetbv(0, 7), TRAP_NONE);
		report_eq("size for AVX", cpuid(0xd, 0).ebx, avx.ebx + avx.eax);
		report_eq("XGETBV reads what was set", xgetbv(0), 7);
	}
	report(cpuid(0xd, 0).ecx >= cpuid(0xd, 0).ebx, "largest size is the largest", "%u < %u",
	       cpuid(0xd, 0).ecx, cpuid(0xd, 0).ebx);
	try_xsetbv(0, 1);
	try_cr4(cr4);
}

void guest_main(void)
{
	check_basic();
	check_hypervisor();
	check_out_of_range();
	check_upper_halves();
	check_xsave();
}
