/* SPDX-License-Identifier: MIT */
/*
 * switch: everything that is a guest's own, while another guest has the processor in between.
 *
 * Why: the processor's VMCS switches half of a guest's registers; the hypervisor must know the
 * others, and one that it forgets is seen only if two guests use it at once. So two of these
 * run in one boot with different seed=, and each fills memory and registers with values of
 * its own, over many exits, halts and whole turns.
 * Expected: pass.
 */
#include "guest-tests/lib/cpu.h"
#include "guest-tests/switch/live.h"
#include "vmm/abi.h"

enum {
	ROUNDS = 64,
	WAKE_VECTOR = 0xf0,
	SHORT = 500,
	LONG = 80000, /* rounds of a loop: more than a turn */
	REASON_HLT = 12,
	REASON_TIMER = 52,
};

/* Memory that is checked: pages all over it. */
#define PAGES  512ull
#define FIRST  0x400000ull
#define STRIDE (11 * PAGE_SIZE)

#define CANONICAL (BIT(47) - 1)
#define XCR0_SSE  3ull

static struct tally {
	const char *name;
	u64 wrong, got, want; /* of the first one */
} gprs = { .name = "general registers kept" }, stack = { .name = "RSP kept" },
  xmms = { .name = "XMM registers kept" }, drs = { .name = "DR0 to DR3 and DR6 kept" },
  crs = { .name = "control registers kept" }, msrs = { .name = "MSRs kept" },
  xcrs = { .name = "XCR0 kept" }, memory = { .name = "memory kept" };

static u64 seed;

/* A value that no other (seed, round, place) has. */
static u64 value(u64 round, u64 place)
{
	u64 v = (seed << 40 ^ round << 20 ^ place) * 0x9e3779b97f4a7c15;

	v = (v ^ v >> 32) * 0xd6e8feb86659fd93;
	return v ^ v >> 29;
}

static void expect(struct tally *t, u64 got, u64 want)
{
	if (got == want)
		return;
	if (!t->wrong++) {
		t->got = got;
		t->want = want;
	}
}

static void conclude(const struct tally *t)
{
	report(!t->wrong, t->name, "%lu times, first 0x%lx instead of 0x%lx", t->wrong, t->got,
	       t->want);
}

/* Bits of a random value that are free, and what the others are. */
static const struct {
	u32 msr;
	u64 free, fixed;
} msr_rows[] = {
	{ MSR_FS_BASE, CANONICAL, 0 },
	{ MSR_GS_BASE, CANONICAL, 0 },
	{ MSR_KERNEL_GS, CANONICAL, 0 },
	{ 0xc0000081, ~0ull, 0 },      /* STAR */
	{ 0xc0000082, CANONICAL, 0 },  /* LSTAR */
	{ 0xc0000083, CANONICAL, 0 },  /* CSTAR */
	{ 0xc0000084, 0xffffffff, 0 }, /* FMASK */
	{ 0x174, 0xffff, 0 },	       /* SYSENTER_CS, _ESP, _EIP */
	{ 0x175, CANONICAL, 0 },
	{ 0x176, CANONICAL, 0 },
	{ MSR_EFER, BIT(0), 0xd00 },		  /* SCE; NXE, LMA and LME as they are */
	{ MSR_PAT, BIT(32), 0x0007040600070406 }, /* entry 4, which nothing uses: WB or UC- */
};

static bool has_rdtscp, has_xsave;

static u64 msr_value(u64 round, unsigned int i)
{
	return (value(round, 100 + i) & msr_rows[i].free) | msr_rows[i].fixed;
}

static void write_msrs(u64 round)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msr_rows); i++)
		expect(&msrs, try_wrmsr(msr_rows[i].msr, msr_value(round, i)), TRAP_NONE);
	if (has_rdtscp)
		expect(&msrs, try_wrmsr(MSR_TSC_AUX, (u32)value(round, 199)), TRAP_NONE);
}

static void check_msrs(u64 round)
{
	u64 v;

	for (unsigned int i = 0; i < ARRAY_SIZE(msr_rows); i++) {
		try_rdmsr(msr_rows[i].msr, &v);
		expect(&msrs, v, msr_value(round, i));
	}
	if (has_rdtscp) {
		try_rdmsr(MSR_TSC_AUX, &v);
		expect(&msrs, v, (u32)value(round, 199));
	}
}

static u64 dr6_value(u64 round)
{
	return 0xffff0ff0 | (value(round, 204) & 0xf);
}

static void write_debug(u64 round)
{
	asm volatile("mov %0, %%dr0" : : "r"(value(round, 200) & CANONICAL));
	asm volatile("mov %0, %%dr1" : : "r"(value(round, 201) & CANONICAL));
	asm volatile("mov %0, %%dr2" : : "r"(value(round, 202) & CANONICAL));
	asm volatile("mov %0, %%dr3" : : "r"(value(round, 203) & CANONICAL));
	asm volatile("mov %0, %%dr6" : : "r"(dr6_value(round)));
}

static void check_debug(u64 round)
{
	u64 v[5];

	asm volatile("mov %%dr0, %0" : "=r"(v[0]));
	asm volatile("mov %%dr1, %0" : "=r"(v[1]));
	asm volatile("mov %%dr2, %0" : "=r"(v[2]));
	asm volatile("mov %%dr3, %0" : "=r"(v[3]));
	asm volatile("mov %%dr6, %0" : "=r"(v[4]));
	for (unsigned int i = 0; i < 4; i++)
		expect(&drs, v[i], value(round, 200 + i) & CANONICAL);
	expect(&drs, v[4], dr6_value(round));
}

/* CR0.AM and CR4.TSD change nothing in ring 0. CR8 stays below the class of WAKE_VECTOR. */
static u64 cr_value(u64 round, u64 old, u64 bit, u64 place)
{
	return (old & ~bit) | (value(round, place) & bit);
}

static u64 cr0_start, cr4_start;

static void write_control(u64 round)
{
	expect(&crs, try_cr0(cr_value(round, cr0_start, CR0_AM, 300)), TRAP_NONE);
	expect(&crs, try_cr4(cr_value(round, cr4_start, CR4_TSD, 301)), TRAP_NONE);
	expect(&crs, try_cr8(value(round, 302) % 15), TRAP_NONE);
	asm volatile("mov %0, %%cr2" : : "r"(value(round, 303)));
	if (has_xsave)
		expect(&xcrs, try_xsetbv(0, value(round, 304) & BIT(0) ? XCR0_SSE : 1), TRAP_NONE);
}

static void check_control(u64 round)
{
	u64 cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	expect(&crs, cr2, value(round, 303));
	expect(&crs, read_cr0(), cr_value(round, cr0_start, CR0_AM, 300));
	expect(&crs, read_cr4(), cr_value(round, cr4_start, CR4_TSD, 301));
	expect(&crs, read_cr8(), value(round, 302) % 15);
	if (has_xsave)
		expect(&xcrs, xgetbv(0), value(round, 304) & BIT(0) ? XCR0_SSE : 1);
}

static void run_live(u64 round)
{
	for (unsigned int i = 0; i < 16; i++)
		live_in.gpr[i] = value(round, i);
	for (unsigned int i = 0; i < ARRAY_SIZE(live_in.xmm); i++)
		live_in.xmm[i] = value(round, 16 + i);
	live_spins = round % 4 == 3 ? LONG : SHORT;
	/* Halted, it leaves the processor to the other guest at once. */
	live_halts = hypervisor() && round % 2 == 0;
	if (live_halts)
		hypercall(HC_TIMER, 20000, WAKE_VECTOR, 0);
	live_run();
}

static void check_live(void)
{
	for (unsigned int i = 0; i < 16; i++) {
		if (i != 4)
			expect(&gprs, live_out.gpr[i], live_in.gpr[i]);
	}
	expect(&stack, live_out.gpr[4], live_rsp);
	for (unsigned int i = 0; i < ARRAY_SIZE(live_in.xmm); i++)
		expect(&xmms, live_out.xmm[i], live_in.xmm[i]);
}

static volatile u64 *page_words(u64 page)
{
	return (volatile u64 *)(FIRST + page * STRIDE);
}

static void fill_memory(void)
{
	for (u64 page = 0; page < PAGES; page++)
		for (u64 i = 0; i < PAGE_SIZE / 8; i += 4)
			page_words(page)[i] = value(page, 1000 + i);
}

/* Every step-th page, from `first` on. */
static void check_memory(u64 first, u64 step)
{
	for (u64 page = first; page < PAGES; page += step)
		for (u64 i = 0; i < PAGE_SIZE / 8; i += 4)
			expect(&memory, page_words(page)[i], value(page, 1000 + i));
}

static void rounds(void)
{
	for (u64 round = 0; round < ROUNDS; round++) {
		write_msrs(round);
		write_debug(round);
		write_control(round);
		run_live(round);
		cpuid(0, 0);
		inb(0x4d8);
		hypercall(HC_VERSION, 0, 0, 0); /* faults on a bare machine, which is survived */
		check_memory(round % 16, 16);
		check_live();
		check_msrs(round);
		check_debug(round);
		check_control(round);
	}
}

void guest_main(void)
{
	u64 end = FIRST + PAGES * STRIDE;
	bool free_memory = boot.mem_upper >= (end >> 10) - 1024 && !info_used(FIRST, end);

	seed = arg_u64("seed", 1);
	has_rdtscp = cpuid(0x80000001, 0).edx & BIT(27);
	has_xsave = cpuid(1, 0).ecx & BIT(26);
	if (has_xsave)
		try_cr4(read_cr4() | CR4_OSXSAVE);
	cr0_start = read_cr0();
	cr4_start = read_cr4();
	print("switch: seed %lu\n", seed);
	report(free_memory, "enough memory", "0x%lx bytes are needed", end);
	if (!free_memory)
		return;
	fill_memory();
	rounds();
	check_memory(0, 1);

	struct tally *all[] = { &gprs, &stack, &xmms, &drs, &crs, &msrs, &xcrs, &memory };

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		conclude(all[i]);
	if (need_hypervisor("turns and halts in between")) {
		u64 turns = (u64)hypercall(HC_EXIT_COUNT, REASON_TIMER, 0, 0);
		u64 halts = (u64)hypercall(HC_EXIT_COUNT, REASON_HLT, 0, 0);

		print("%lu exits by the timer, %lu by HLT\n", turns, halts);
		report(turns >= ROUNDS / 4 && halts == ROUNDS / 2, "turns and halts in between",
		       "%lu and %lu", turns, halts);
		report_eq("woken each time", irq_total, ROUNDS / 2);
	}
}
