/* SPDX-License-Identifier: MIT */
/*
 * xsave: the guest's extended registers across exits.
 *
 * Why: the hypervisor neither saves nor uses them in most exits; the first handler compiled
 * with SSE, or a switch of guests that saves less than XCR0 allows, leaks or destroys them.
 * Everything here is compiled with -mgeneral-regs-only, so only XRSTOR fills them.
 * Expected: pass; x87, XMM, YMM and, where the processor has them, the AVX-512 registers.
 */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { ROUNDS = 250, WAKE_VECTOR = 0x60, AREA = 8192, LEGACY = 512, HEADER = 64 };

#define X87    BIT(0)
#define SSE    BIT(1)
#define AVX    BIT(2)
#define AVX512 (BIT(5) | BIT(6) | BIT(7))

static u8 pattern[AREA] __attribute__((aligned(64)));
static u8 before[AREA] __attribute__((aligned(64)));
static u8 after[AREA] __attribute__((aligned(64)));

static u64 features;

static void xsave(u8 *area)
{
	asm volatile("xsave64 (%0)"
		     :
		     : "r"(area), "a"((u32)features), "d"((u32)(features >> 32))
		     : "memory");
}

static void xrstor(const u8 *area)
{
	asm volatile("xrstor64 (%0)"
		     :
		     : "r"(area), "a"((u32)features), "d"((u32)(features >> 32))
		     : "memory");
}

static void fill(u8 *at, u32 len)
{
	static u32 seed = 0x12345;

	for (u32 i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		at[i] = (u8)(seed >> 24);
	}
}

/* The area that XRSTOR takes: every register its own pseudo-random value. */
static void make_pattern(void)
{
	*(u16 *)pattern = 0x37f;	 /* FCW */
	*(u16 *)(pattern + 4) = 0xff;	 /* all eight x87 registers valid */
	*(u32 *)(pattern + 24) = 0x1f80; /* MXCSR */
	*(u64 *)(pattern + LEGACY) = features;
	for (u32 i = 0; i < 8; i++)
		fill(pattern + 32 + 16 * i, 10);
	fill(pattern + 160, 256);
	for (u32 i = 2; i < 8; i++) {
		struct cpuid c = cpuid(0xd, i);

		if ((features & BIT(i)) && c.ebx + c.eax <= AREA)
			fill(pattern + c.ebx, c.eax);
	}
}

/* Bytes of component `i` that differ. */
static u32 differences(const u8 *a, const u8 *b, u32 i)
{
	struct cpuid c = cpuid(0xd, i);
	u32 from = i == 0 ? 32 : i == 1 ? 160 : c.ebx;
	u32 len = i == 0 ? 128 : i == 1 ? 256 : c.eax;
	u32 n = 0;

	for (u32 k = from; k < from + len; k++)
		n += a[k] != b[k];
	return n;
}

static void compare(const u8 *a, const u8 *b, const char *const names[8])
{
	for (u32 i = 0; i < 8; i++) {
		if (features & BIT(i))
			report_eq(names[i], differences(a, b, i), 0);
	}
}

static void exit_cpuid(void)
{
	cpuid(0, 0);
}

static void exit_io(void)
{
	inb(0x4d8);
	outb(0x80, 0);
}

static void exit_vmcall(void)
{
	hypercall(HC_VERSION, 0, 0, 0);
}

static void exit_hlt(void)
{
	hypercall(HC_TIMER, 5000, WAKE_VECTOR, 0);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static void check_exits(void)
{
	static const char *const loaded[8] = { "x87 loaded",  "XMM loaded", "YMM loaded",  "", "",
					       "k0-7 loaded", "ZMM loaded", "ZMM16 loaded" };
	static const char *const kept[8] = { "x87 kept", "XMM kept",  "YMM kept", "",
					     "",	 "k0-7 kept", "ZMM kept", "ZMM16 kept" };
	bool hv = need_hypervisor("exits by VMCALL and HLT");
	u32 mxcsr;

	make_pattern();
	xrstor(pattern);
	xsave(before);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		exit_cpuid();
		exit_io();
		if (hv) {
			exit_vmcall();
			exit_hlt();
		}
	}
	xsave(after);
	mxcsr = *(u32 *)(after + 24);
	compare(pattern, before, loaded);
	compare(before, after, kept);
	report_eq("MXCSR kept", mxcsr, 0x1f80);
	report_eq("XSTATE_BV kept", *(u64 *)(after + LEGACY), *(u64 *)(before + LEGACY));
	report_eq("XCR0 kept", xgetbv(0), features);
	if (hv)
		report_eq("woken each time", irq_total, ROUNDS);
}

static void check_illegal(u64 offered)
{
	static const struct {
		const char *name;
		u32 index;
		u64 value;
	} illegal[] = {
		{ "XCR0 without x87", 0, SSE },
		{ "XCR0 = 0", 0, 0 },
		{ "XCR0 with AVX but not SSE", 0, X87 | AVX },
		{ "XCR0 with AVX-512 but not AVX", 0, X87 | SSE | AVX512 },
		{ "XCR0 with half of AVX-512", 0, X87 | SSE | AVX | BIT(5) },
		{ "XCR0 bit 63", 0, BIT(63) | X87 },
		{ "XCR0 all ones", 0, ~0ull },
		{ "XCR1", 1, X87 },
		{ "XCR 0xffffffff", ~0u, X87 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(illegal); i++)
		report_strict(illegal[i].name, try_xsetbv(illegal[i].index, illegal[i].value),
			      VEC_GP);
	for (u32 bit = 8; bit < 63; bit++) {
		if (!(offered & BIT(bit)) && try_xsetbv(0, features | BIT(bit)) != VEC_GP) {
			report_strict("XCR0 bits that are not offered", bit, 0);
			return;
		}
	}
	report(true, "XCR0 bits that are not offered", " ");
}

void guest_main(void)
{
	u64 offered;

	if (!(cpuid(1, 0).ecx & BIT(26))) {
		report(true, "no XSAVE here", " ");
		return;
	}
	offered = (u64)cpuid(0xd, 0).edx << 32 | cpuid(0xd, 0).eax;
	features = X87 | SSE | (offered & AVX);
	if ((offered & AVX512) == AVX512 && (offered & AVX))
		features |= AVX512;
	report_eq("CR4.OSXSAVE", try_cr4(read_cr4() | CR4_OSXSAVE), TRAP_NONE);
	report_eq("XSETBV", try_xsetbv(0, features), TRAP_NONE);
	print("XCR0 0x%lx of 0x%lx, %u bytes\n", features, offered, cpuid(0xd, 0).ebx);
	if (cpuid(0xd, 0).ebx > AREA) {
		report(false, "save area", "%u bytes", cpuid(0xd, 0).ebx);
		return;
	}
	check_exits();
	check_illegal(offered);
}
