/* SPDX-License-Identifier: MIT */
/* IPIs to CPUs that do not take them at once: interrupts off, TPR, HLT. */
#include "guest-tests/smp/test.h"

enum { A_WHILE = 50000, TRIES = 1000, HELD_CLASS = 6 };

static volatile u32 phase[SMP_MAX], let_go;
static unsigned int cpu_0_woken;

/* Spins with interrupts off (@arg = 0) or with CR8 = @arg until it may go on. */
static void hold_job(u64 arg)
{
	unsigned int me = smp_id();

	irq_off();
	asm volatile("mov %0, %%cr8" : : "r"(arg) : "memory");
	if (arg)
		irq_on();
	phase[me] = 1;
	while (!let_go)
		smp_relax();
	asm volatile("mov %0, %%cr8" : : "r"(0ul) : "memory");
	irq_on();
	cpuid(0, 0);
	phase[me] = 2;
}

static bool start_holding(unsigned int cpu, u64 cr8)
{
	let_go = phase[cpu] = 0;
	smp_call(cpu, hold_job, cr8);
	return smp_await(&phase[cpu], 1, smp_patience());
}

/* The same with an interrupt that it has sent to itself, so that where the CPU serves its local APIC no exit tells of it. */
static void hold_own_job(u64 arg)
{
	unsigned int me = smp_id();

	irq_off();
	if (x2apic)
		apic_write(SELF_IPI, (u32)arg);
	else
		apic_send(0, ICR_ASSERT | ICR_SELF | (u32)arg);
	phase[me] = 1;
	while (!let_go)
		smp_relax();
	irq_on();
	cpuid(0, 0);
	phase[me] = 2;
}

/* Lets @cpu go: it gets one of each of the first two vectors, the higher first. */
static bool gets_both(unsigned int cpu)
{
	let_go = 1;
	smp_wait(cpu);
	settle();
	return got[0][cpu] == 1 && got[1][cpu] == 1 && last_test[cpu] == 0;
}

static bool own_held_by_if(unsigned int cpu)
{
	bool right;

	let_go = phase[cpu] = 0;
	smp_call(cpu, hold_own_job, TEST_VECTOR(1));
	right = smp_await(&phase[cpu], 1, smp_patience());
	smp_delay(A_WHILE);
	right = right && got[1][cpu] == 0;
	smp_ipi(cpu, TEST_VECTOR(0));
	smp_delay(A_WHILE);
	right = right && got[0][cpu] + got[1][cpu] == 0;
	return gets_both(cpu) && right;
}

/* Two of one vector are one, and of two vectors the higher comes first. */
static bool held_by_if(unsigned int cpu)
{
	bool right = start_holding(cpu, 0);

	smp_ipi(cpu, TEST_VECTOR(0));
	smp_ipi(cpu, TEST_VECTOR(1));
	smp_ipi(cpu, TEST_VECTOR(0));
	smp_delay(A_WHILE);
	right = right && got[0][cpu] + got[1][cpu] == 0;
	return gets_both(cpu) && right;
}

static bool held_by_tpr(unsigned int cpu)
{
	bool right = start_holding(cpu, HELD_CLASS);

	smp_ipi(cpu, TEST_VECTOR(0));
	smp_ipi(cpu, TEST_VECTOR(1));
	smp_ipi(cpu, TEST_VECTOR(2));
	right = right && smp_await(&got[2][cpu], 1, smp_patience());
	smp_delay(A_WHILE);
	right = right && got[0][cpu] + got[1][cpu] == 0;
	let_go = 1;
	smp_wait(cpu);
	settle();
	return right && got[0][cpu] == 1 && got[1][cpu] == 1 && got[2][cpu] == 1 &&
	       last_test[cpu] == 0;
}

static void check_held_by_if(void)
{
	unsigned int wrong = 0;

	if (arg_is("held", "off")) {
		skip("IF = 0 holds IPIs", "held=off");
		return;
	}
	for_others("IF = 0 holds IPIs, two of one vector are one, the higher comes first",
		   held_by_if);
	for_others("also one of its own, when another comes", own_held_by_if);
	for (unsigned int i = 0; i < smp_nr(); i++)
		wrong += let_in[i];
	report_eq("interrupts that came with IF = 0", wrong, 0);
}

void check_pending(void)
{
	check_held_by_if();
	for_others("TPR holds its class and those below", held_by_tpr);
}

static void halt_job(u64 arg)
{
	unsigned int me = smp_id();

	irq_off();
	phase[me] = 1;
	if (arg)
		asm volatile("sti\n\thlt" : : : "memory");
	else
		asm volatile("hlt" : : : "memory");
	phase[me] = 2;
	irq_on();
	cpuid(0, 0);
}

static bool start_halting(unsigned int cpu, u64 interrupts)
{
	bool halts;

	phase[cpu] = 0;
	smp_call(cpu, halt_job, interrupts);
	halts = smp_await(&phase[cpu], 1, smp_patience());
	smp_delay(A_WHILE);
	return halts && phase[cpu] == 1;
}

static bool woken_by_ipi(unsigned int cpu)
{
	bool right = start_halting(cpu, true);

	smp_ipi(cpu, TEST_VECTOR(0));
	right = right && smp_await(&phase[cpu], 2, smp_patience());
	return right && got[0][cpu] == 1;
}

/* One that comes between the store and HLT does not wake it, so more than one may be due. */
static bool wake_by_nmi(unsigned int cpu)
{
	for (unsigned int i = 0; i < TRIES && phase[cpu] == 1; i++) {
		smp_ipi(cpu, ICR_NMI);
		smp_await(&phase[cpu], 2, A_WHILE);
	}
	return phase[cpu] == 2;
}

static bool woken_by_nmi(unsigned int cpu)
{
	bool right = start_halting(cpu, false);

	smp_ipi(cpu, TEST_VECTOR(0));
	smp_delay(A_WHILE);
	right = right && phase[cpu] == 1 && !got[0][cpu];
	right = wake_by_nmi(cpu) && right;
	smp_wait(cpu);
	return right && got[0][cpu] == 1 && nmis[cpu];
}

static void wake_first_job(u64 arg)
{
	(void)arg;
	smp_delay(A_WHILE);
	smp_ipi(0, TEST_VECTOR(0));
}

static bool wakes_first(unsigned int cpu)
{
	bool right;

	smp_call(cpu, wake_first_job, 0);
	right = halted_until(&got[0][0], 1);
	smp_wait(cpu);
	cpu_0_woken += right;
	return right && got[0][0] == 1;
}

void check_halted(void)
{
	for_others("an IPI wakes from STI; HLT", woken_by_ipi);
	for_others("from CLI; HLT only an NMI does", woken_by_nmi);
	cpu_0_woken = 0;
	for_others("each CPU wakes the first one", wakes_first);
	report_eq("which was halted each time", cpu_0_woken, smp_nr() - 1);
}
