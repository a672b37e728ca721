/* SPDX-License-Identifier: MIT */
/* INIT and SIPI to CPUs in every state. SDM "Local APIC State After It Receives an INIT-Deassert Message" and "MP Initialization Protocol". */
#include "guest-tests/smp/test.h"

enum { A_WHILE = 50000, TRIES = 100, SOME_TPR = 0x30, SVR_RESET = 0xff };

static volatile u32 turns[SMP_MAX];

static void count_job(u64 interrupts)
{
	unsigned int me = smp_id();

	if (!interrupts)
		irq_off();
	for (;;)
		turns[me]++;
}

static void halt_job(u64 arg)
{
	(void)arg;
	irq_off();
	turns[smp_id()] = 1;
	for (;;)
		asm volatile("hlt");
}

static bool start_counting(unsigned int cpu, u64 interrupts)
{
	turns[cpu] = 0;
	smp_call(cpu, count_job, interrupts);
	return smp_await(&turns[cpu], 1, smp_patience());
}

static bool is_counting(unsigned int cpu)
{
	u32 before = turns[cpu];

	return smp_await(&turns[cpu], before + 1, smp_patience());
}

/* Does it stand still? What it did while INIT was on its way does not count. */
static bool stands_still(unsigned int cpu)
{
	u32 before;

	smp_delay(A_WHILE);
	before = turns[cpu];
	smp_delay(A_WHILE);
	return turns[cpu] == before;
}

static bool started_at(unsigned int cpu, unsigned int page, u32 arrivals)
{
	return smp_cpu(cpu)->start_page == smp_start_pages[page] && smp_arrivals[cpu] == arrivals;
}

/* Running; in the time between INIT and SIPI it does nothing, takes no interrupt, and a second INIT changes nothing. */
static bool start_running(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];
	bool right = start_counting(cpu, cpu & 1);

	smp_ipi(cpu, ICR_INIT);
	right = right && stands_still(cpu);
	smp_ipi(cpu, TEST_VECTOR(0));
	right = right && stands_still(cpu) && smp_arrivals[cpu] == arrivals;
	smp_restart(cpu, 1);
	settle();
	/* Bare Bochs keeps what comes while the APIC is off. */
	return right && started_at(cpu, 1, arrivals + 1) && (!got[0][cpu] || !hypervisor());
}

static bool start_idle(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];

	smp_restart(cpu, 0);
	return started_at(cpu, 0, arrivals + 1);
}

static bool start_halted(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];
	bool right;

	turns[cpu] = 0;
	smp_call(cpu, halt_job, 0);
	right = smp_await(&turns[cpu], 1, smp_patience());
	smp_restart(cpu, 1);
	return right && started_at(cpu, 1, arrivals + 1);
}

/* To one that runs SIPI is nothing, and INIT does not find it later. */
static bool sipi_running(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];
	bool right = start_counting(cpu, true);

	smp_expect_start(cpu); /* so that one that starts is seen as such */
	for (unsigned int i = 0; i < TRIES; i++)
		smp_ipi(cpu, ICR_SIPI | smp_start_pages[i & 1]);
	right = right && is_counting(cpu) && smp_arrivals[cpu] == arrivals;
	smp_ipi(cpu, ICR_INIT);
	right = right && stands_still(cpu) && smp_arrivals[cpu] == arrivals;
	smp_restart(cpu, 0);
	return right && started_at(cpu, 0, arrivals + 1);
}

static bool deassert(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];
	bool right = start_counting(cpu, true);

	apic_send(0, ICR_ALL | ICR_LEVEL | ICR_INIT);
	right = right && is_counting(cpu) && smp_arrivals[cpu] == arrivals;
	smp_restart(cpu, 0);
	return right;
}

static void tpr_job(u64 arg)
{
	(void)arg;
	apic_write(APIC_TPR, SOME_TPR);
	apic_write(APIC_SVR, SVR_ON & ~BIT(4));
}

static bool apic_is_reset(unsigned int cpu)
{
	u32 id = smp_cpu(cpu)->apic_id;

	smp_run(cpu, tpr_job, 0);
	smp_restart(cpu, 0);
	return smp_cpu(cpu)->first_tpr == 0 && smp_cpu(cpu)->first_svr == SVR_RESET &&
	       smp_cpu(cpu)->apic_id == id;
}

static void restart_job(u64 cpu)
{
	smp_restart((unsigned int)cpu, 1);
}

/* By another one than the first. */
static bool start_by_another(unsigned int cpu)
{
	u32 arrivals = smp_arrivals[cpu];

	smp_run(cpu == 1 ? 2 : 1, restart_job, cpu);
	return started_at(cpu, 1, arrivals + 1);
}

void check_starts(void)
{
	for_others("INIT stops one that runs, SIPI starts it again", start_running);
	for_others("so does it with one that waits", start_idle);
	for_others("and one that halts for good", start_halted);
	for_others("SIPI to one that runs is nothing", sipi_running);
	if (!x2apic)
		for_others("INIT de-assert is nothing", deassert);
	for_others("INIT resets the APIC, but its id", apic_is_reset);
	if (smp_nr() > 2)
		for_others("one CPU starts another", start_by_another);
	report_eq("nobody started who was not to", smp_strangers, 0);
	if (x2apic)
		check_logical_ids();
	else
		set_model(FLAT);
}
