/* SPDX-License-Identifier: MIT */
/*
 * hostile: the worst that ring 0 of a guest can do, act by act.
 *
 * Why: whatever a guest does may end that guest, never the hypervisor or its neighbours. Acts
 * that the SDM answers with an exception must give it; the others are survived.
 * Expected: pass. With last= there is one act only, which the guest does not outlive: tables
 * (page tables where no memory is: stopped), task (a task switch: stopped, or fail with code 2
 * if it is carried out), hlt (nothing can wake it: stopped, halted).
 */
#include "guest-tests/hostile/last.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { NMIS = 1000 };

static unsigned int nmis;

static void act(const char *name)
{
	print("act: %s\n", name);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmis++;
}

static void control_registers(void)
{
	/* PAE and LA57; SMEP and SMAP, as all pages here are ring 3's. */
	const u64 keep = BIT(5) | BIT(12) | BIT(20) | BIT(21);
	u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer;

	act("reserved bits of control registers");
	report_refused("CR0 upper half", try_cr0, cr0 | BIT(40));
	report_refused("CR3 reserved bit", try_cr3, cr3 | BIT(58));
	report_refused("CR4 bit 63", try_cr4, cr4 | BIT(63));
	report_refused("CR4 bit 31", try_cr4, cr4 | BIT(31));
	report_refused("CR8 above 15", try_cr8, 16);
	try_rdmsr(MSR_EFER, &efer);
	report_strict("EFER all ones", try_wrmsr(MSR_EFER, ~0ull), VEC_GP);
	try_wrmsr(MSR_EFER, efer);
	if (!need_strict("every bit of CR0 and CR4"))
		return;
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (keep & BIT(bit))
			continue;
		try_cr4(cr4 ^ BIT(bit));
		try_cr4(cr4);
	}
	for (unsigned int bit = 1; bit < 31; bit++) {
		try_cr0(cr0 ^ BIT(bit));
		try_cr0(cr0);
	}
	report_eq("CR4 as before", read_cr4(), cr4);
}

static void xcr0(void)
{
	unsigned int refused = 0;
	u64 v = 0x9e3779b97f4a7c15ull;

	act("XSETBV of anything");
	if (!(cpuid(1, 0).ecx & BIT(26)) || try_cr4(read_cr4() | CR4_OSXSAVE) != TRAP_NONE) {
		skip("XSETBV", "not offered");
		return;
	}
	for (unsigned int i = 0; i < 1000; i++) {
		v ^= v << 13;
		v ^= v >> 7;
		v ^= v << 17;
		refused += try_xsetbv(i % 3, v | BIT(62)) == VEC_GP;
	}
	report_eq("XSETBV refused", refused, 1000);
	try_xsetbv(0, 1);
	try_cr4(read_cr4() & ~CR4_OSXSAVE);
}

static void ports(void)
{
	u32 sum = 0;

	act("every port");
	/* On a bare machine some port would switch it off, or its A20 line, or crash QEMU. */
	if (!need_hypervisor("every port"))
		return;
	for (u32 port = 0; port < 0x10000; port++) {
		sum += inb((u16)port);
		sum += inw((u16)port);
		sum += inl((u16)port);
	}
	report(true, "ports read", " ");
	print("sum of all ports 0x%x\n", sum);
	for (u32 port = 0; port < 0x10000; port++) {
		if (port > PORT_EXIT - 4 && port < PORT_EXIT + 4)
			continue;
		outb((u16)port, 0);
		outw((u16)port, 0);
		outl((u16)port, 0);
	}
	/* Where there are 8259s, all of their inputs are open now. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	console_init();
	print("\n");
	report(true, "ports written", " ");
}

static void msrs_of(u32 first, u32 last)
{
	static const u64 values[] = { ~0ull, 0x5555555555555555 };
	u64 old;

	for (u32 msr = first; msr <= last; msr++) {
		if (msr == MSR_TSC || msr == MSR_TSC_ADJUST)
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
			bool readable = try_rdmsr(msr, &old) == TRAP_NONE;

			if (try_wrmsr(msr, values[i]) == TRAP_NONE && readable)
				try_wrmsr(msr, old);
		}
	}
}

static void msrs(void)
{
	act("every MSR");
	/* A bare machine without checks would really move its APIC and lose its mode. */
	if (!need_hypervisor("MSRs written"))
		return;
	msrs_of(0, 0x1fff);
	msrs_of(0x40000000, 0x400000ff);
	msrs_of(0xc0000000, 0xc0001fff);
	msrs_of(0xc0010000, 0xc00100ff);
	report(true, "MSRs written", " ");
}

static void caches(void)
{
	act("caches, MONITOR, MWAIT");
	for (unsigned int i = 0; i < 100; i++)
		asm volatile("invd\n\twbinvd" : : : "memory");
	report(true, "INVD and WBINVD", " ");
	asm volatile(GUARDED("monitor") : : "a"(&nmis), "c"(0), "d"(0));
	print("MONITOR: vector %u\n", trap_last.vector);
	asm volatile(GUARDED("monitor") : : "a"(1ull << 47), "c"(~0u), "d"(~0u));
	report(trap_last.vector != TRAP_NONE || !hypervisor(), "MONITOR of nonsense", "accepted");
	if (!need_hypervisor("MWAIT")) /* the bare one would sleep for ever */
		return;
	asm volatile(GUARDED("mwait") : : "a"(0), "c"(0));
	report(true, "MWAIT", " ");
	asm volatile(GUARDED("mwait") : : "a"(~0u), "c"(~0u));
	report(true, "MWAIT of nonsense", " ");
}

static void hypercalls(void)
{
	static const u64 wild[] = { 0,		1,	    31,		0x80, 0xffff,
				    0x80000000, 0xfffff000, 1ull << 47, ~0ull };
	unsigned int made = 0;

	act("hypercalls");
	if (!need_hypervisor("hypercalls"))
		return;
	for (u64 nr = 0; nr < 64; nr++) {
		for (unsigned int i = 0; nr != HC_EXIT && i < ARRAY_SIZE(wild); i++) {
			/* An audit takes its time and no arguments: once for each i. */
			unsigned int last = nr == HC_AUDIT ? 1 : ARRAY_SIZE(wild);

			for (unsigned int k = 0; k < last; k++, made++)
				hypercall(nr, wild[i], wild[k], wild[(i + k) % ARRAY_SIZE(wild)]);
		}
	}
	for (unsigned int bit = 6; bit < 64; bit++, made++)
		hypercall(1ull << bit, ~0ull, ~0ull, ~0ull);
	hypercall(HC_TSC_EXIT, 0, 0, 0);
	for (unsigned int i = 0; i < 256; i++)
		irq_window();
	print("%u hypercalls, %u interrupts\n", made, irq_total);
	report(irq_total > 0, "hypercalls", "no interrupt came of them");
}

static void nmi_storm(void)
{
	act("NMI storm");
	if (!need_hypervisor("NMI storm"))
		return;
	nmis = 0;
	for (unsigned int i = 0; i < NMIS; i++)
		hypercall(HC_NMI, 0, 0, 0);
	cpuid(0, 0);
	report_eq("NMI storm", nmis, NMIS);
}

void guest_main(void)
{
	if (arg_is("last", "tables"))
		last_tables();
	if (arg_is("last", "task"))
		last_task();
	if (arg_is("last", "hlt"))
		last_hlt();
	trap_hook(VEC_NMI, on_nmi);
	control_registers();
	xcr0();
	ports();
	msrs();
	caches();
	hypercalls();
	nmi_storm();
	print("act: done, still here\n");
}
