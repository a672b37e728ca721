/* SPDX-License-Identifier: MIT */
/* See smp.h. SDM "Multiple-Processor (MP) Initialization" and "Issuing Interprocessor Interrupts". */
#include "guest-tests/lib/smp.h"

enum {
	INIT_TICKS = 100000, /* between INIT and SIPI */
	SIPI_TICKS = 20000,
	QUIET_TICKS = 100000000,
	TOO_MANY_TICKS = 500000, /* for one that must not come */
	ID_LAST = 63,
	LOW_FIRST = 0x1000, /* the real mode vectors and the BIOS's variables are below */
	LOW_END = 0xa0000,
};

#define SMP_ANY_STARTS 0xffffffffu

/* smp_start.S */
extern const u8 smp_trampoline[], smp_trampoline_end[];
extern u32 smp_ids[SMP_MAX];
void smp_main(u32 nr, u32 cs) __attribute__((noreturn));

bool smp_idle_spins;
u32 smp_arrivals[SMP_MAX], smp_strangers;
u8 smp_start_pages[2];
u32 smp_expected[SMP_MAX]; /* arrivals before the one that may come, or SMP_ANY_STARTS */

static struct smp_cpu cpus[SMP_MAX];
static struct trap_cpu traps[SMP_MAX];
static u32 nr_cpus, nr_online, nr_stopped;
static u32 barrier_in, barrier_turn;

static void give_up(const char *what, u64 cpu) __attribute__((noreturn));
static void give_up(const char *what, u64 cpu)
{
	report(false, what, "CPU %lu", cpu);
	finish();
}

static struct smp_cpu *me(void)
{
	struct smp_cpu *cpu;

	asm volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

unsigned int smp_nr(void)
{
	return nr_cpus;
}

unsigned int smp_id(void)
{
	return me()->nr;
}

struct smp_cpu *smp_cpu(unsigned int nr)
{
	return &cpus[nr];
}

void smp_relax(void)
{
	if ((me()->turns++ & 0xc0) == 0)
		asm volatile("pause");
}

u64 smp_patience(void)
{
	return arg_u64("wait", 4000) * 1000000;
}

bool smp_await(const volatile u32 *count, u32 want, u64 ticks)
{
	u64 start = rdtsc();

	while (*count < want) {
		if (rdtsc() - start > ticks)
			return *count >= want;
		smp_relax();
	}
	return true;
}

void smp_delay(u64 ticks)
{
	static const u32 never;

	smp_await(&never, 1, ticks);
}

static void on_wake(struct trap_frame *f)
{
	(void)f;
	apic_write(APIC_EOI, 0);
}

static void set_cpu(u32 nr)
{
	struct smp_cpu *cpu = &cpus[nr];
	u64 at = (u64)cpu;

	cpu->self = cpu;
	cpu->nr = nr;
	cpu->apic_id = smp_ids[nr];
	asm volatile("wrmsr" : : "c"(MSR_GS_BASE), "a"((u32)at), "d"((u32)(at >> 32)) : "memory");
}

/*
 * The APIC of this CPU into the mode that all are to have. Twice, as Bochs works out the logical id when x2APIC mode is
 * written in x2APIC mode.
 */
static void join_mode(void)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_APIC_BASE) : "memory");
	lo |= BASE_EN | BASE_EXTD;
	for (unsigned int i = 0; i < 2 && x2apic; i++)
		asm volatile("wrmsr" : : "a"(lo), "d"(hi), "c"(MSR_APIC_BASE) : "memory");
}

static void serve(struct smp_cpu *cpu) __attribute__((noreturn));
static void serve(struct smp_cpu *cpu)
{
	for (;;) {
		smp_fn_t fn;

		irq_off();
		fn = __atomic_load_n(&cpu->fn, __ATOMIC_ACQUIRE);
		if (fn) {
			irq_on();
			fn(cpu->arg);
			__atomic_store_n(&cpu->fn, NULL, __ATOMIC_RELEASE);
		} else if (smp_idle_spins) {
			irq_on();
			smp_relax();
		} else {
			asm volatile("sti\n\thlt" : : : "memory");
		}
	}
}

/* From smp_start.S, on a stack of its own, with interrupts off. */
void smp_main(u32 nr, u32 cs)
{
	struct smp_cpu *cpu = &cpus[nr];

	set_cpu(nr);
	trap_init_cpu(&traps[nr]);
	join_mode();
	cpu->start_page = cs >> 8;
	cpu->first_svr = apic_read(APIC_SVR);
	cpu->first_tpr = apic_read(APIC_TPR);
	apic_write(APIC_SVR, SVR_ON);
	if (__atomic_fetch_add(&cpu->online, 1, __ATOMIC_SEQ_CST) == 0)
		__atomic_fetch_add(&nr_online, 1, __ATOMIC_SEQ_CST);
	serve(cpu);
}

static bool is_ram(u64 start, u64 end)
{
	for (unsigned int i = 0; i < boot.nr_map; i++)
		if (boot.map[i].type == 1 && boot.map[i].start <= start && boot.map[i].end >= end)
			return true;
	return false;
}

/* Whatever the loader put below 1 MiB has been copied, but it may have put modules there. */
static void place_trampolines(void)
{
	size_t len = (size_t)(smp_trampoline_end - smp_trampoline);
	unsigned int nr = 0;

	for (u64 at = LOW_FIRST; at < LOW_END && nr < ARRAY_SIZE(smp_start_pages);
	     at += PAGE_SIZE) {
		if (!is_ram(at, at + PAGE_SIZE) || info_used(at, at + PAGE_SIZE))
			continue;
		memcpy((void *)at, smp_trampoline, len);
		smp_start_pages[nr++] = (u8)(at / PAGE_SIZE);
	}
	if (nr < ARRAY_SIZE(smp_start_pages))
		give_up("two pages below 1 MiB", 0);
}

/* To all others, or to each id that there may be. */
static void send_start(u32 icr)
{
	if (!arg_is("start", "ids")) {
		apic_send(0, ICR_OTHERS | ICR_ASSERT | icr);
		return;
	}
	for (u32 id = 0; id <= ID_LAST; id++)
		if (id != cpus[0].apic_id)
			apic_send(id, ICR_ASSERT | icr);
}

static void wait_for_all(void)
{
	u64 want = arg_u64("cpus", 0);
	u32 seen = 0;

	if (!want) {
		while (smp_await(&nr_online, seen + 1, QUIET_TICKS))
			seen++;
		return;
	}
	smp_await(&nr_online, (u32)want - 1, smp_patience());
	smp_await(&nr_online, (u32)want, TOO_MANY_TICKS);
	report_eq("as many CPUs as cpus= says", nr_online + 1, want);
	if (nr_online + 1 != want)
		finish();
}

static u32 own_id(void)
{
	struct cpuid c = { 0 };

	if (cpuid(0, 0).eax >= 0xb)
		c = cpuid(0xb, 0);
	return c.ebx ? c.edx : cpuid(1, 0).ebx >> 24;
}

/* Every page of ours, so that none is new to the machine later. */
static void touch_all(void)
{
	for (const volatile u8 *page = image_start; page < image_end; page += PAGE_SIZE)
		(void)*page;
}

void smp_start(bool x2apic_mode)
{
	if (arg_is("touch", "on"))
		touch_all();
	smp_ids[0] = own_id();
	smp_arrivals[0] = smp_expected[0] = 1;
	set_cpu(0);
	x2apic = x2apic_mode;
	join_mode();
	apic_write(APIC_SVR, SVR_ON);
	trap_hook(SMP_WAKE_VECTOR, on_wake);
	place_trampolines();
	send_start(ICR_INIT);
	smp_delay(INIT_TICKS);
	for (u64 i = arg_u64("sipis", 2); i; i--) {
		send_start(ICR_SIPI | smp_start_pages[0]);
		smp_delay(SIPI_TICKS);
	}
	wait_for_all();
	nr_cpus = nr_online + 1;
	for (u32 i = 1; i < nr_cpus; i++)
		if (!cpus[i].online)
			give_up("one came only half the way", i);
}

static void enter_x2apic(u64 arg)
{
	(void)arg;
	irq_off();
	smp_barrier(); /* nobody sends any more */
	if (smp_id() == 0)
		x2apic = true;
	smp_barrier();
	join_mode();
	smp_barrier();
}

void smp_enter_x2apic(void)
{
	smp_all(enter_x2apic, 0);
}

void smp_ipi(unsigned int nr, u32 icr)
{
	apic_send(cpus[nr].apic_id, ICR_ASSERT | icr);
}

void smp_call(unsigned int nr, smp_fn_t fn, u64 arg)
{
	cpus[nr].arg = arg;
	__atomic_store_n(&cpus[nr].fn, fn, __ATOMIC_SEQ_CST);
	if (!smp_idle_spins)
		smp_ipi(nr, SMP_WAKE_VECTOR);
}

void smp_wait(unsigned int nr)
{
	u64 start = rdtsc(), patience = 16 * smp_patience();

	while (__atomic_load_n(&cpus[nr].fn, __ATOMIC_ACQUIRE)) {
		if (rdtsc() - start > patience)
			give_up("a CPU did not finish its work", nr);
		smp_relax();
	}
}

void smp_run(unsigned int nr, smp_fn_t fn, u64 arg)
{
	if (nr == smp_id()) {
		fn(arg);
		return;
	}
	smp_call(nr, fn, arg);
	smp_wait(nr);
}

void smp_all(smp_fn_t fn, u64 arg)
{
	for (unsigned int i = 1; i < nr_cpus; i++)
		smp_call(i, fn, arg);
	fn(arg);
	for (unsigned int i = 1; i < nr_cpus; i++)
		smp_wait(i);
}

void smp_barrier(void)
{
	u32 turn = __atomic_load_n(&barrier_turn, __ATOMIC_SEQ_CST);

	if (__atomic_add_fetch(&barrier_in, 1, __ATOMIC_SEQ_CST) == nr_cpus) {
		barrier_in = 0;
		__atomic_store_n(&barrier_turn, turn + 1, __ATOMIC_SEQ_CST);
	} else if (!smp_await(&barrier_turn, turn + 1, 16 * smp_patience())) {
		give_up("a CPU waited too long for the others", smp_id());
	}
}

void smp_expect_start(unsigned int nr)
{
	smp_expected[nr] = smp_arrivals[nr];
}

void smp_expect_any_starts(unsigned int nr)
{
	smp_expected[nr] = SMP_ANY_STARTS;
}

void smp_restart(unsigned int nr, unsigned int page)
{
	u32 before = cpus[nr].online;

	smp_expect_start(nr);
	smp_ipi(nr, ICR_INIT);
	smp_delay(INIT_TICKS);
	__atomic_store_n(&cpus[nr].fn, NULL, __ATOMIC_SEQ_CST);
	smp_ipi(nr, ICR_SIPI | smp_start_pages[page]);
	if (!smp_await(&cpus[nr].online, before + 1, smp_patience()))
		give_up("a CPU did not start again", nr);
}

static void stop_here(u64 arg)
{
	(void)arg;
	irq_off();
	__atomic_add_fetch(&nr_stopped, 1, __ATOMIC_SEQ_CST);
	for (;;)
		asm volatile("hlt");
}

void smp_stop(void)
{
	nr_stopped = 0;
	for (unsigned int i = 1; i < nr_cpus; i++)
		smp_call(i, stop_here, 0);
	if (!smp_await(&nr_stopped, nr_cpus - 1, smp_patience()))
		give_up("not all CPUs stopped", nr_stopped);
}
