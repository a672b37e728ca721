/* SPDX-License-Identifier: MIT */
/*
 * attacker: every exit that a guest can cause and outlive, at random, as often as it is told.
 *
 * Why: whatever order of exits a guest finds, no crossing may show it more than its own, the state
 * machine must hold, and nothing of the guest may be lost. Between the acts it checks that its
 * registers and its memory are what it left there; the hypervisor audits meanwhile (audit=MS on its
 * command line, and by hypercall here).
 * Expected: pass. The seed is printed: the same one gives the same acts.
 * Arguments: seed= (default 1), n= exits at least (default 100000), audit= acts between two audits by
 * hypercall (default 50000; 0: none).
 */
#include "guest-tests/lib/cpu.h"
#include "guest-tests/lib/survive.h"
#include "vmm/abi.h"

#define FOUR_GIB  0x100000000ull
#define OUTSIDE	  0xe0000000ull
#define VIDEO	  0xa0000ull /* no RAM there */
#define VECTOR	  0x51
#define REASONS	  70
#define CHUNK	  1000 /* acts between two looks at the count of exits */
#define NAP_TICKS 2000

static u64 state, acts, audit_every;
static u64 naps, nmis;
static u8 buffer[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static u64 random(void)
{
	return random_next(&state);
}

static u64 below(u64 n)
{
	return random_below(&state, n);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmis++;
}

static void on_debug(struct trap_frame *f)
{
	f->rflags &= ~RFLAGS_TF;
}

static void act_cpuid(void)
{
	static const u32 bases[] = { 0, 0x40000000, 0x80000000, 0xc0000000 };

	cpuid(bases[below(4)] + (u32)below(40), (u32)below(80));
}

/* Those that a guest has, and those of the tables of the SDM, of others and of nobody. */
static u32 some_msr(void)
{
	static const u32 known[] = { MSR_APIC_BASE,    MSR_MISC_ENABLE, MSR_PAT,    MSR_EFER,
				     MSR_BIOS_SIGN_ID, 0x174,		0xc0000081, 0xc0000082,
				     0xc0000084,       MSR_KERNEL_GS,	MSR_TSC_AUX };
	static const u32 bases[] = { 0, 0x170, 0x200, 0x400, 0x480, 0x800, 0x40000000, 0xc0000080 };

	if (below(2))
		return known[below(ARRAY_SIZE(known))];
	return bases[below(ARRAY_SIZE(bases))] + (u32)below(128);
}

static void act_rdmsr(void)
{
	u64 value;

	try_rdmsr(some_msr(), &value);
}

/* What is taken is put back, but the TSC, which every MSR of its kind would move. */
static void act_wrmsr(void)
{
	u32 msr = some_msr();
	u64 old;

	if (msr == MSR_TSC || msr == MSR_TSC_ADJUST)
		return;
	if (try_rdmsr(msr, &old) == TRAP_NONE &&
	    try_wrmsr(msr, old ^ (1ull << below(64))) == TRAP_NONE)
		try_wrmsr(msr, old);
}

static u16 some_port(void)
{
	u16 port = (u16)random();

	/* Not the console's, which would print, nor those that a dword would spill from into PORT_EXIT. */
	return (port & 0xfff8) == 0x3f8 || (port & 0xfff0) == (PORT_EXIT & 0xfff0) ? 0x80 : port;
}

static void act_in(void)
{
	u16 port = some_port();

	switch (below(3)) {
	case 0:
		inb(port);
		break;
	case 1:
		inw(port);
		break;
	default:
		inl(port);
	}
}

static void act_out(void)
{
	u16 port = some_port();

	switch (below(3)) {
	case 0:
		outb(port, (u8)random());
		break;
	case 1:
		outw(port, (u16)random());
		break;
	default:
		outl(port, (u32)random());
	}
}

/* Strings over the border of two pages, both ways. */
static void act_string(void)
{
	u64 count = below(40), at = (u64)buffer + PAGE_SIZE - 64 + below(128);
	u16 port = some_port();
	bool down = below(2);

	if (down)
		asm volatile("std");
	if (below(2))
		asm volatile("rep insb" : "+D"(at), "+c"(count) : "d"(port) : "memory");
	else
		asm volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(port) : "memory");
	asm volatile("cld");
}

static void act_cr0(void)
{
	static const u64 bits[] = { BIT(1), BIT(2), CR0_TS, CR0_NE, BIT(16),
				    CR0_AM, CR0_NW, CR0_CD, BIT(40) };
	u64 old = read_cr0();

	if (try_cr0(old ^ bits[below(ARRAY_SIZE(bits))]) == TRAP_NONE)
		try_cr0(old);
}

static void act_cr4(void)
{
	static const u64 bits[] = { BIT(0),	CR4_TSD, BIT(3),   BIT(6),	CR4_PGE, BIT(8),
				    CR4_OSFXSR, BIT(10), CR4_VMXE, CR4_OSXSAVE, BIT(22), BIT(31) };
	u64 old = read_cr4();

	if (try_cr4(old ^ bits[below(ARRAY_SIZE(bits))]) == TRAP_NONE)
		try_cr4(old);
}

static void act_cr3(void)
{
	u64 old = read_cr3();

	try_cr3(below(2) ? old : old | BIT(58));
	try_cr8(below(20));
	try_cr8(0);
}

static void act_xsetbv(void)
{
	if (try_cr4(read_cr4() | CR4_OSXSAVE) != TRAP_NONE)
		return;
	try_xsetbv((u32)below(3), below(2) ? 1 + below(8) : random());
	try_xsetbv(0, 1);
	try_cr4(read_cr4() & ~CR4_OSXSAVE);
}

static void act_vmx(void)
{
	static u64 operand[2];

	switch (below(8)) {
	case 0:
		asm volatile(GUARDED("vmxon (%0)") : : "r"(operand) : "memory");
		break;
	case 1:
		asm volatile(GUARDED("vmclear (%0)") : : "r"(operand) : "memory");
		break;
	case 2:
		asm volatile(GUARDED("vmlaunch") : : : "memory");
		break;
	case 3:
		asm volatile(GUARDED("vmread %0, %1") : : "r"(0ul), "r"(0ul) : "memory");
		break;
	case 4:
		asm volatile(GUARDED("vmxoff") : : : "memory");
		break;
	case 5:
		asm volatile(GUARDED("invept (%0), %1") : : "r"(operand), "r"(1ul) : "memory");
		break;
	case 6:
		asm volatile(GUARDED("getsec") : : "a"(0) : "memory");
		break;
	default:
		asm volatile(GUARDED("vmptrst (%0)") : : "r"(operand) : "memory");
	}
}

static void act_hidden(void)
{
	switch (below(6)) {
	case 0:
		asm volatile("wbinvd" : : : "memory");
		break;
	case 1:
		asm volatile("invd" : : : "memory");
		break;
	case 2:
		asm volatile(GUARDED("rdpmc") : : "c"((u32)random()) : "eax", "edx", "memory");
		break;
	case 3:
		asm volatile(GUARDED("monitor")
			     :
			     : "a"(buffer), "c"((u32)below(3)), "d"(0)
			     : "memory");
		break;
	case 4:
		asm volatile(GUARDED("mwait")
			     :
			     : "a"((u32)below(3)), "c"((u32)below(3))
			     : "memory");
		break;
	default:
		asm volatile("pause");
	}
}

/* Numbers that exist with arguments of any kind, but for the end, and audits, which take their time. */
static void act_hypercall(void)
{
	u64 nr = below(2) ? below(12) : random();

	if (nr != HC_EXIT && nr != HC_AUDIT && nr != HC_NMI)
		hypercall(nr, below(2) ? below(256) : random(), below(2) ? below(256) : random(),
			  0);
	hypercall(HC_TIMER, 1ull << 40, VECTOR, 0);
	hypercall(HC_TSC_EXIT, below(2), 0, 0);
}

static void act_nmi(void)
{
	hypercall(HC_NMI, 0, 0, 0);
}

static void act_irq(void)
{
	hypercall(HC_IRQ, 32 + below(224), 0, 0);
	irq_window();
}

static void act_nap(void)
{
	hypercall(HC_TIMER, below(NAP_TICKS), VECTOR, 0);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	naps++;
}

static void act_tsc(void)
{
	hypercall(HC_TSC_EXIT, 1, 0, 0);
	rdtsc();
}

/* Where no RAM is: the hypervisor reads our page tables and our instruction. */
static void act_mmio(void)
{
	u64 at = (below(2) ? OUTSIDE + below(1 << 20) : VIDEO + below(1 << 16)) & ~7ull, v = 0;

	switch (below(5)) {
	case 0:
		asm volatile("movb (%1), %b0" : "+r"(v) : "r"(at) : "memory");
		break;
	case 1:
		asm volatile("movl (%1), %k0" : "=r"(v) : "r"(at) : "memory");
		break;
	case 2:
		asm volatile("movq %0, (%1)" : : "r"(random()), "r"(at) : "memory");
		break;
	case 3:
		asm volatile("movw $0x1234, (%0)" : : "r"(at) : "memory");
		break;
	default:
		asm volatile("movzbl 3(%1), %k0" : "=r"(v) : "r"(at) : "memory");
	}
}

static void act_single_step(void)
{
	asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcpuid"
		     :
		     : "a"(0), "c"(0)
		     : "rbx", "rdx", "memory");
}

static void act_breakpoint(void)
{
	asm volatile(".byte 0xf1" : : : "memory"); /* INT1, a #DB */
}

static void (*const all[])(void) = {
	act_cpuid, act_rdmsr, act_wrmsr,  act_in,   act_out,	     act_string,     act_cr0,
	act_cr4,   act_cr3,   act_xsetbv, act_vmx,  act_hidden,	     act_hypercall,  act_nmi,
	act_irq,   act_nap,   act_tsc,	  act_mmio, act_single_step, act_breakpoint,
};

static u64 exits(void)
{
	u64 sum = 0;

	for (u64 reason = 0; reason < REASONS; reason++)
		sum += (u64)hypercall(HC_EXIT_COUNT, reason, 0, 0);
	return sum;
}

/* Exits that left the restricted space; without ASI none does. */
static u64 exits_left(void)
{
	u64 sum = 0;

	for (u64 reason = 0; reason < REASONS; reason++) {
		s64 kept = hypercall(HC_RESTRICTED, reason, 0, 0);

		if (kept < 0)
			return 0;
		sum += (u64)hypercall(HC_EXIT_COUNT, reason, 0, 0) - (u64)kept;
	}
	return sum - 1; /* the question itself was an exit in between */
}

void guest_main(void)
{
	u64 n = arg_u64("n", 100000), seed = arg_u64("seed", 1), lost = 0, violations = 0, done;
	static u64 canary[512];

	if (!need_hypervisor("attacker"))
		finish();
	audit_every = arg_u64("audit", 50000);
	state = random_start(seed);
	print("attacker: seed %lu, %lu exits\n", seed, n);
	for (unsigned int i = 0; i < ARRAY_SIZE(canary); i++)
		canary[i] = i * RANDOM_MIX ^ seed;
	trap_hook(VEC_NMI, on_nmi);
	trap_hook(VEC_DB, on_debug);
	do {
		for (unsigned int i = 0; i < CHUNK; i++, acts++) {
			lost += !survives(all[below(ARRAY_SIZE(all))], &state);
			if (audit_every && acts % audit_every == audit_every - 1)
				violations += (u64)hypercall(HC_AUDIT, 0, 0, 0);
		}
		done = exits();
	} while (done < n);
	hypercall(HC_TSC_EXIT, 0, 0, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(canary); i++)
		lost += canary[i] != (i * RANDOM_MIX ^ seed);
	print("attacker: %lu acts, %lu exits, %lu naps, %lu NMIs, %u interrupts\n", acts, done,
	      naps, nmis, irq_total);
	print("attacker: %lu exits left the restricted space\n", exits_left());
	report_eq("registers and memory kept", lost, 0);
	report_eq("audits", violations, 0);
	report(done >= n, "exits", "only %lu", done);
	finish();
}
