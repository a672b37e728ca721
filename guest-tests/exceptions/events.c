/* SPDX-License-Identifier: MIT */
/* Interrupts and NMIs that the hypervisor pends: held, ordered, delivered once. */
#include "guest-tests/exceptions/tests.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { LOW = 0x41, MIDDLE = 0x50, HIGH = 0x81 };

u32 irq_after_sti_vmcall(void);

static struct {
	unsigned int seen, depth;
	bool nested, again;
} nmi;

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmi.nested |= nmi.depth++ != 0;
	nmi.seen++;
	if (nmi.again) {
		nmi.again = false;
		hypercall(HC_NMI, 0, 0, 0);
		cpuid(0, 0); /* further exits within the handler deliver nothing either */
	}
	nmi.depth--;
}

static void check_nmi(void)
{
	trap_hook(VEC_NMI, on_nmi);
	report_eq("HC_NMI", (u64)hypercall(HC_NMI, 0, 0, 0), 0);
	cpuid(0, 0);
	report_eq("an NMI arrives once, with IF = 0", nmi.seen, 1);
	nmi.seen = 0;
	nmi.again = true;
	hypercall(HC_NMI, 0, 0, 0);
	cpuid(0, 0);
	report_eq("an NMI raised in its handler arrives after it", nmi.seen, 2);
	report(!nmi.nested, "NMIs are blocked until IRET", "nested");
	trap_hook(VEC_NMI, NULL);
}

static void check_window(void)
{
	u32 in_shadow;

	irq_forget();
	report_eq("HC_IRQ", (u64)hypercall(HC_IRQ, MIDDLE, 0, 0), 0);
	cpuid(0, 0);
	report_eq("held while IF = 0", irq_total, 0);
	asm volatile("sti\n\tmov irq_total, %0\n\tnop\n\tcli" : "=r"(in_shadow) : : "memory");
	report_eq("held in the shadow of STI", in_shadow, 0);
	report(irq_total == 1 && irq_log[0] == MIDDLE, "delivered once in the window",
	       "%u interrupts, vector 0x%x", irq_total, irq_log[0]);
	irq_window();
	report_eq("and not again", irq_total, 1);

	irq_forget();
	hypercall(HC_IRQ, MIDDLE, 0, 0);
	asm volatile("sti\n\tcpuid\n\tmov irq_total, %0\n\tcli"
		     : "=r"(in_shadow)
		     : "a"(0), "c"(0)
		     : "rbx", "rdx", "memory");
	report_eq("an exit in the shadow of STI ends it", in_shadow, 1);
	irq_forget();
	report_eq("HC_IRQ in the shadow of STI", irq_after_sti_vmcall(), 1);
}

static void check_order(void)
{
	irq_forget();
	hypercall(HC_IRQ, LOW, 0, 0);
	hypercall(HC_IRQ, HIGH, 0, 0);
	hypercall(HC_IRQ, LOW, 0, 0);
	for (unsigned int i = 0; i < 4; i++)
		irq_window();
	report(irq_total == 2 && irq_log[0] == HIGH && irq_log[1] == LOW,
	       "two pending vectors, the higher first", "%u: 0x%x 0x%x", irq_total, irq_log[0],
	       irq_log[1]);
}

static void check_timer(void)
{
	irq_forget();
	report_eq("HC_TIMER", (u64)hypercall(HC_TIMER, 20000, MIDDLE, 0), 0);
	report_eq("the timer does not fire at once", irq_total, 0);
	asm volatile("sti");
	for (u64 end = rdtsc() + 50000000; rdtsc() < end && !*(volatile u32 *)&irq_total;)
		;
	asm volatile("cli");
	report(irq_total == 1 && irq_log[0] == MIDDLE, "the timer interrupts a loop",
	       "%u interrupts, vector 0x%x", irq_total, irq_log[0]);

	irq_forget();
	hypercall(HC_TIMER, 1000000, LOW, 0);
	hypercall(HC_TIMER, 20000, HIGH, 0);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	report(irq_total == 1 && irq_log[0] == HIGH, "a new timer replaces the last, wakes HLT",
	       "%u interrupts, vector 0x%x", irq_total, irq_log[0]);

	irq_forget();
	hypercall(HC_TIMER, 0, MIDDLE, 0);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	report_eq("a timer of 0 ticks wakes HLT", irq_total, 1);
}

static void check_arguments(void)
{
	static const struct {
		const char *name;
		u64 nr, arg1, arg2;
	} wrong[] = {
		{ "unknown hypercall", 9999, 0, 0 },
		{ "hypercall -1", ~0ull, 0, 0 },
		{ "HC_IRQ of an exception", HC_IRQ, 31, 0 },
		{ "HC_IRQ above 255", HC_IRQ, 256, 0 },
		{ "HC_TIMER of an exception", HC_TIMER, 100, 14 },
		{ "HC_TIMER above 255", HC_TIMER, 100, 300 },
		{ "HC_EXIT_COUNT of no reason", HC_EXIT_COUNT, 100000, 0 },
		{ "HC_RESTRICTED of no reason", HC_RESTRICTED, ~0ull, 0 },
		{ "HC_TSC_EXIT of 2", HC_TSC_EXIT, 2, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++)
		report_eq(wrong[i].name,
			  (u64)hypercall(wrong[i].nr, wrong[i].arg1, wrong[i].arg2, 0),
			  (u64)(s64)HC_EINVAL);
}

void check_events(void)
{
	if (!need_hypervisor("interrupts and NMIs"))
		return;
	check_arguments();
	check_nmi();
	check_window();
	check_order();
	check_timer();
}
