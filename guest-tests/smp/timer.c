/* SPDX-License-Identifier: MIT */
/* Each CPU's own timer, while all compute; and a halt that a timer bounds. */
#include "guest-tests/smp/test.h"

enum { TICKS_WANTED = 20, PERIOD = 20000, STEPS = 512, VEC_LATE = 0xd1 };

static volatile u32 ticks[SMP_MAX], late;
static bool in_time[SMP_MAX], not_early[SMP_MAX], computed[SMP_MAX];

static void on_timer(struct trap_frame *f)
{
	(void)f;
	ticks[smp_id()]++;
	apic_write(APIC_EOI, 0);
}

static void on_late(struct trap_frame *f)
{
	(void)f;
	late = 1;
	apic_write(APIC_EOI, 0);
}

/* Some work with a result that is known: the same as that of the first time. */
static u64 compute(void)
{
	u64 x = 0x123456789abcdef;

	for (unsigned int i = 0; i < STEPS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		asm volatile("" : "+r"(x));
	}
	return x;
}

static void compute_until_ticked(u64 want, u64 patience)
{
	unsigned int me = smp_id();
	u64 start = rdtsc();

	computed[me] = true;
	while (ticks[me] < TICKS_WANTED && rdtsc() - start < patience)
		computed[me] = computed[me] && compute() == want;
}

static void periodic_job(u64 want)
{
	unsigned int me = smp_id();
	u32 period = PERIOD * (1 + me % 4);
	u64 start, patience = smp_patience();

	ticks[me] = 0;
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(LVT_TIMER, PERIODIC | VEC_TIMER);
	smp_barrier();
	irq_on();
	start = rdtsc();
	apic_write(TIMER_INITIAL, period);
	compute_until_ticked(want, patience);
	not_early[me] = rdtsc() - start >= (u64)period * TICKS_WANTED;
	apic_write(TIMER_INITIAL, 0);
	apic_write(LVT_TIMER, MASKED);
	irq_off();
	in_time[me] = ticks[me] >= TICKS_WANTED;
}

static void arm(u64 deadline)
{
	asm volatile("wrmsr"
		     :
		     : "a"((u32)deadline), "d"((u32)(deadline >> 32)), "c"(MSR_TSC_DEADLINE)
		     : "memory");
}

static void deadline_job(u64 want)
{
	unsigned int me = smp_id();
	u64 patience = smp_patience();

	ticks[me] = 0;
	computed[me] = not_early[me] = true;
	apic_write(LVT_TIMER, DEADLINE | VEC_TIMER);
	asm volatile("mfence"
		     :
		     :
		     : "memory"); /* SDM "TSC-Deadline Mode": before the MSR, in xAPIC mode */
	smp_barrier();
	irq_on();
	for (u32 i = 0; i < TICKS_WANTED && ticks[me] == i; i++) {
		u64 start = rdtsc(), due = start + PERIOD * (1 + me % 4);

		arm(due);
		while (ticks[me] == i && rdtsc() - start < patience)
			computed[me] = computed[me] && compute() == want;
		not_early[me] = not_early[me] && rdtsc() >= due;
	}
	apic_write(LVT_TIMER, MASKED);
	irq_off();
	in_time[me] = ticks[me] == TICKS_WANTED;
}

static unsigned int nr_of(const bool *set)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < smp_nr(); i++)
		n += set[i];
	return n;
}

static void try_timers(const char *name, smp_fn_t job)
{
	print("smp: %s\n", name);
	smp_all(job, compute());
	report_eq("timers interrupt each CPU", nr_of(in_time), smp_nr());
	/* The clock of a bare machine's timer need not be the TSC. */
	if (strict() || nr_of(not_early) == smp_nr())
		report_eq("not too early", nr_of(not_early), smp_nr());
	else
		skip("not too early", "this bare machine has another clock");
	report_eq("and disturb no computation", nr_of(computed), smp_nr());
}

void check_timers(void)
{
	trap_hook(VEC_TIMER, on_timer);
	try_timers("periodic timers", periodic_job);
	if (cpuid(1, 0).ecx & BIT(24))
		try_timers("TSC deadlines", deadline_job);
	else
		skip("TSC deadlines", "CPUID shows none");
}

bool halted_until(const volatile u32 *count, u32 want)
{
	trap_hook(VEC_LATE, on_late);
	late = 0;
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(LVT_TIMER, VEC_LATE);
	apic_write(TIMER_INITIAL, ~0u);
	while (*count < want && !late) {
		asm volatile("cli" : : : "memory");
		if (*count < want)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	}
	apic_write(TIMER_INITIAL, 0);
	apic_write(LVT_TIMER, MASKED);
	return *count >= want;
}
