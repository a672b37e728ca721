/* SPDX-License-Identifier: MIT */
/* The local APIC's timer in its three modes. */
#include "guest-tests/apic/apic.h"

enum { VECTOR = 0x61, COUNT = 200000, LONG = 2000000000 };

static void on_timer(struct trap_frame *f)
{
	(void)f;
	irq_total++;
	apic_write(APIC_EOI, 0);
}

void wait_irqs(u32 irqs, u64 ticks)
{
	asm volatile("sti" : : : "memory");
	for (u64 end = rdtsc() + ticks; rdtsc() < end && *(volatile u32 *)&irq_total < irqs;)
		;
	asm volatile("cli" : : : "memory");
}

static void halt(void)
{
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static void check_one_shot(void)
{
	u32 first;
	u64 start = rdtsc();

	irq_forget();
	apic_write(LVT_TIMER, VECTOR);
	apic_write(TIMER_INITIAL, COUNT);
	first = apic_read(TIMER_CURRENT);
	report(first <= COUNT && first > COUNT / 2, "it counts", "0x%x", first);
	report(apic_read(TIMER_CURRENT) < first, "down", "not below 0x%x", first);
	report_eq("not at once", irq_total, 0);
	wait_irqs(1, 50 * COUNT);
	report_eq("one-shot: an interrupt", irq_total, 1);
	report(rdtsc() - start >= COUNT, "not too early", "after %lu ticks", rdtsc() - start);
	report_eq("ended at 0", apic_read(TIMER_CURRENT), 0);
	wait_irqs(2, 3 * COUNT);
	report_eq("and no other", irq_total, 1);

	start = rdtsc();
	apic_write(TIMER_DIVIDE, 0x3); /* by 16 */
	apic_write(TIMER_INITIAL, COUNT / 16);
	halt();
	report_eq("divided, it wakes HLT", irq_total, 2);
	report(rdtsc() - start >= COUNT, "not too early", "after %lu ticks", rdtsc() - start);
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);

	apic_write(TIMER_INITIAL, LONG);
	apic_write(TIMER_INITIAL, 0);
	report_eq("0 stops it", apic_read(TIMER_CURRENT), 0);
	apic_write(LVT_TIMER, MASKED | VECTOR);
	apic_write(TIMER_INITIAL, 100);
	wait_irqs(3, COUNT);
	apic_write(LVT_TIMER, VECTOR);
	wait_irqs(3, COUNT);
	report_eq("what ended masked does not interrupt later", irq_total, 2);
}

static void check_periodic(void)
{
	u64 start = rdtsc();

	irq_forget();
	apic_write(LVT_TIMER, PERIODIC | VECTOR);
	apic_write(TIMER_INITIAL, COUNT);
	wait_irqs(5, 100 * COUNT);
	report_eq("periodic: five interrupts", irq_total, 5);
	report(rdtsc() - start >= 5 * COUNT, "not too early", "after %lu ticks", rdtsc() - start);
	halt();
	report_eq("a sixth wakes HLT", irq_total, 6);
	apic_write(LVT_TIMER, PERIODIC | MASKED | VECTOR);
	wait_irqs(7, 3 * COUNT);
	report_eq("masked, none", irq_total, 6);
	apic_write(LVT_TIMER, PERIODIC | VECTOR);
	wait_irqs(7, 50 * COUNT);
	report_eq("it has gone on meanwhile", irq_total, 7);
	/* One that is too short for any host: the guest still gets on. */
	apic_write(TIMER_INITIAL, 1);
	wait_irqs(107, 1000 * COUNT);
	report(irq_total >= 107, "a period of 1", "%u interrupts", irq_total);
	for (unsigned int i = 0; i < 1000; i++)
		cpuid(0, 0);
	apic_write(TIMER_INITIAL, 0);
	wait_irqs(~0u, COUNT);
	report(true, "gets on with IF = 0 too, and stops", " ");
}

static void check_deadline(void)
{
	u64 value, deadline;

	irq_forget();
	report_eq("in other modes a deadline is ignored",
		  try_wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT), TRAP_NONE);
	try_rdmsr(MSR_TSC_DEADLINE, &value);
	report_eq("and reads 0", value, 0);
	apic_write(LVT_TIMER, DEADLINE | VECTOR);
	apic_write(TIMER_INITIAL, 100);
	report_eq("by deadline, a count is ignored", apic_read(TIMER_CURRENT), 0);
	deadline = rdtsc() + COUNT;
	try_wrmsr(MSR_TSC_DEADLINE, deadline);
	try_rdmsr(MSR_TSC_DEADLINE, &value);
	report_eq("the deadline reads back", value, deadline);
	wait_irqs(1, 50 * COUNT);
	report_eq("deadline: an interrupt", irq_total, 1);
	report(rdtsc() >= deadline, "not too early", "before %lu", deadline);
	try_rdmsr(MSR_TSC_DEADLINE, &value);
	report_eq("and it reads 0", value, 0);
	try_wrmsr(MSR_TSC_DEADLINE, 1);
	halt();
	report_eq("one in the past comes at once", irq_total, 2);
	try_wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT);
	halt();
	report_eq("one wakes HLT", irq_total, 3);
	try_wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT);
	try_wrmsr(MSR_TSC_DEADLINE, 0);
	wait_irqs(4, 3 * COUNT);
	report_eq("0 disarms it", irq_total, 3);
	try_wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT);
	apic_write(LVT_TIMER, VECTOR);
	wait_irqs(4, 3 * COUNT);
	report_eq("another mode does so too", irq_total, 3);
}

void check_timer(void)
{
	trap_hook(VECTOR, on_timer);
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
	check_one_shot();
	check_periodic();
	check_deadline();
	apic_write(LVT_TIMER, MASKED);
	trap_hook(VECTOR, NULL);
}
