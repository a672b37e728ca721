/* SPDX-License-Identifier: MIT */
/* Acts that no guest comes back from, and one that ends it by the exit port while others work. */
#include "guest-tests/smp-hostile/hostile.h"
#include "vmm/abi.h"

enum { EXIT_CODE = 7, A_WHILE = 100000, LOW_PAGES = 160 };

static u32 ready;

static void spin(u64 interrupts) __attribute__((noreturn));
static void spin(u64 interrupts)
{
	if (!interrupts)
		irq_off();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		asm volatile("" : : : "memory");
}

static void spin_job(u64 interrupts)
{
	spin(interrupts);
}

/* All but CPU 0 and @but do @job; CPU 0 waits until they have begun. */
static void others(unsigned int but, smp_fn_t job, u64 arg)
{
	u32 want = 0;

	ready = 0;
	for (unsigned int i = 1; i < smp_nr(); i++) {
		if (i == but)
			continue;
		smp_call(i, job, arg);
		want++;
	}
	smp_await(&ready, want, smp_patience());
}

static void triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0\n\tint3" : : "m"(none));
}

static void triple_job(u64 arg)
{
	(void)arg;
	smp_delay(A_WHILE);
	triple_fault();
}

static void exit_job(u64 code)
{
	smp_delay(A_WHILE);
	outb(PORT_EXIT, (u8)code);
}

static void halt_job(u64 interrupts)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		if (interrupts)
			asm volatile("sti\n\thlt" : : : "memory");
		else
			asm volatile("cli\n\thlt" : : : "memory");
	}
}

static void last_triple(void)
{
	others(1, spin_job, true);
	smp_call(1, triple_job, 0);
	spin(true);
}

static void last_triple_all(void)
{
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, triple_job, 0);
	triple_job(0);
}

static void last_exit(void)
{
	others(1, spin_job, false);
	smp_call(1, exit_job, EXIT_CODE);
	spin(false);
}

static void last_exit_all(void)
{
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, exit_job, EXIT_CODE);
	exit_job(EXIT_CODE);
	spin(false);
}

static void last_halt(void)
{
	others(0, halt_job, false);
	halt_job(false);
}

/* Interrupts on, and nobody left to send one. */
static void last_idle(void)
{
	others(0, halt_job, true);
	halt_job(true);
}

static void last_spin(void)
{
	others(0, spin_job, false);
	spin(false);
}

static void init_first_job(u64 arg)
{
	(void)arg;
	smp_delay(A_WHILE);
	smp_ipi(0, ICR_INIT);
	spin(true);
}

static void last_init_first(void)
{
	others(1, spin_job, true);
	smp_call(1, init_first_job, 0);
	spin(true);
}

/* All wait for a SIPI, and nobody can send it. */
static void last_init_all(void)
{
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	smp_ipi(0, ICR_INIT);
	spin(true);
}

/* CPUs begin wherever it may be: in vectors, in nothing, in the middle of instructions. */
static void last_wild_sipi(void)
{
	for (;;) {
		unsigned int to = some_cpu(1);

		smp_ipi(to, ICR_INIT);
		smp_ipi(to, ICR_SIPI | (u32)below(LOW_PAGES));
		smp_delay(A_WHILE);
	}
}

static void storm_job(u64 arg)
{
	(void)arg;
	irq_off();
	for (;;) {
		unsigned int to = some_cpu(0);

		if (below(2))
			smp_ipi(to, ICR_INIT);
		smp_ipi(to, ICR_SIPI | smp_start_pages[below(2)]);
	}
}

/* CPU 0 is no exception: it is started as the others, and goes on where they do. */
static void last_storm(void)
{
	for (unsigned int i = 0; i < smp_nr(); i++)
		smp_expect_any_starts(i);
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, storm_job, 0);
	storm_job(0);
}

static void nmi_job(u64 arg)
{
	(void)arg;
	for (;;)
		smp_ipi(some_cpu(0), ICR_NMI);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
}

static void last_nmi(void)
{
	trap_hook(VEC_NMI, on_nmi);
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, nmi_job, 0);
	nmi_job(0);
}

static void random_job(u64 arg)
{
	(void)arg;
	for (;;)
		send_raw((u32)below(1ull << 32), (u32)below(1ull << 32));
}

static void last_random(void)
{
	trap_hook(VEC_NMI, on_nmi);
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, random_job, 0);
	random_job(0);
}

static const struct {
	const char *name, *what, *verdict;
	void (*act)(void);
} acts[] = {
	{ "triple", "a triple fault while others run", "stopped:triple-fault", last_triple },
	{ "triple-all", "triple faults all at once", "stopped:triple-fault", last_triple_all },
	{ "exit", "one ends it while others spin", "fail:7", last_exit },
	{ "exit-all", "all end it at once", "fail:7", last_exit_all },
	{ "halt", "all halt with interrupts off", "stopped:halted", last_halt },
	{ "idle", "all halt, and nobody is left to wake them", "stopped:halted", last_idle },
	{ "spin", "all spin with interrupts off", "stopped:time-limit", last_spin },
	{ "init-first", "INIT to the first CPU", "any", last_init_first },
	{ "init-all", "INIT to all", "stopped", last_init_all },
	{ "wild-sipi", "SIPI to anywhere", "any", last_wild_sipi },
	{ "storm", "INIT and SIPI to all, without end", "any", last_storm },
	{ "nmi", "NMIs without end", "stopped:time-limit", last_nmi },
	{ "random", "ICRs at random", "any", last_random },
};

bool last_act(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(acts); i++) {
		if (!arg_is("last", acts[i].name))
			continue;
		print("last act: %s (%s)\n", acts[i].what, acts[i].verdict);
		acts[i].act();
		spin(true);
	}
	return false;
}
