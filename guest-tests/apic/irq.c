/* SPDX-License-Identifier: MIT */
/* Interrupts to oneself: destinations, priorities, EOI, errors, NMI, beside the hypercall's. */
#include "guest-tests/apic/apic.h"
#include "vmm/abi.h"

enum { LOW = 0x41, SAME_CLASS = 0x4f, MIDDLE = 0x52, HIGH = 0x83, PLAIN = 0x36 };

static unsigned int nmis;

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmis++;
}

/* Lets come what wants to. */
static void windows(void)
{
	for (unsigned int i = 0; i < 4; i++)
		irq_window();
}

static void check_log(const char *name, u32 nr, u8 first, u8 second)
{
	report(irq_total == nr && (nr < 1 || irq_log[0] == first) &&
		       (nr < 2 || irq_log[1] == second),
	       name, "%u interrupts, vectors 0x%x 0x%x", irq_total, irq_log[0], irq_log[1]);
	irq_forget();
}

static void check_destinations(void)
{
	const struct {
		const char *name;
		u32 dest, icr;
		bool comes;
	} cases[] = {
		{ "fixed to its own ID", 0, ICR_ASSERT, true },
		{ "fixed to another ID", 1, ICR_ASSERT, false },
		{ "lowest priority to its own ID", 0, ICR_ASSERT | ICR_LOWEST, true },
		{ "broadcast", ~0u, ICR_ASSERT, true },
		{ "shorthand: self", 7, ICR_ASSERT | ICR_SELF, true },
		{ "shorthand: all", 7, ICR_ASSERT | ICR_ALL, true },
		{ "shorthand: others", 0, ICR_ASSERT | ICR_OTHERS, false },
		{ "logical, itself", 1, ICR_ASSERT | ICR_LOGICAL, true },
		{ "logical, with others", 3, ICR_ASSERT | ICR_LOGICAL, true },
		{ "logical, others", 2, ICR_ASSERT | ICR_LOGICAL, false },
	};

	if (!x2apic)
		apic_write(APIC_LDR, 0x01000000);
	for (unsigned int cluster = 0; cluster < (x2apic ? 1 : 2); cluster++) {
		if (!x2apic)
			apic_write(APIC_DFR, cluster ? 0 : ~0u);
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			apic_send(cases[i].dest, cases[i].icr | MIDDLE);
			windows();
			if (cases[i].comes)
				apic_write(APIC_EOI, 0);
			check_log(cases[i].name, cases[i].comes, MIDDLE, 0);
		}
	}
	if (x2apic) {
		apic_write(SELF_IPI, LOW);
		windows();
		apic_write(APIC_EOI, 0);
		check_log("SELF_IPI", 1, LOW, 0);
	} else {
		apic_write(APIC_DFR, ~0u);
	}
}

static void send_self(u8 vector)
{
	apic_send(0, ICR_ASSERT | ICR_SELF | vector);
}

static u32 in_set(u32 set, u8 vector)
{
	return apic_read(set + vector / 32 * 16) >> vector % 32 & 1;
}

static void check_priorities(void)
{
	send_self(LOW);
	send_self(HIGH);
	send_self(LOW);
	report_eq("requested", in_set(APIC_IRR, LOW) + in_set(APIC_IRR, HIGH), 2);
	windows();
	check_log("the higher comes, the lower waits for its EOI", 1, HIGH, 0);
	report_eq("in service", in_set(APIC_ISR, HIGH), 1);
	report_eq("no more requested", in_set(APIC_IRR, HIGH), 0);
	report_eq("PPR is its class", apic_read(APIC_PPR), HIGH & 0xf0);
	apic_write(APIC_EOI, 0);
	report_eq("EOI ends it", in_set(APIC_ISR, HIGH), 0);
	windows();
	check_log("then the lower, once", 1, LOW, 0);
	send_self(SAME_CLASS);
	windows();
	check_log("one of the same class waits", 0, 0, 0);
	send_self(MIDDLE);
	windows();
	check_log("one of a higher class does not", 1, MIDDLE, 0);
	apic_write(APIC_EOI, 0);
	report_eq("EOI ends the highest", in_set(APIC_ISR, LOW) + 2 * in_set(APIC_ISR, MIDDLE), 1);
	apic_write(APIC_EOI, 0);
	windows();
	check_log("the one that waited", 1, SAME_CLASS, 0);
	apic_write(APIC_EOI, 0);
	apic_write(APIC_EOI, 0); /* one too many */
	report_eq("nothing in service, PPR", apic_read(APIC_PPR), 0);
}

static void check_tpr(void)
{
	report_eq("CR8 = 8", try_cr8(8), TRAP_NONE);
	report_eq("is TPR", apic_read(APIC_TPR), 0x80);
	send_self(HIGH);
	send_self(MIDDLE);
	windows();
	check_log("TPR holds its own class and those below", 0, 0, 0);
	asm volatile("sti\n\tnop\n\tmov %0, %%cr8\n\tnop\n\tcli" : : "r"(7ul) : "memory");
	check_log("CR8 lets the first through", 1, HIGH, 0);
	apic_write(APIC_EOI, 0);
	windows();
	check_log("and no other", 0, 0, 0);
	apic_write(APIC_TPR, 0x4f);
	report_eq("TPR is CR8", read_cr8(), 4);
	report_eq("PPR is TPR", apic_read(APIC_PPR), 0x4f);
	windows();
	check_log("TPR lets the second through", 1, MIDDLE, 0);
	apic_write(APIC_EOI, 0);
	apic_write(APIC_TPR, 0);
	report_eq("CR8 has four bits", try_cr8(16), VEC_GP);
}

/* Those of the hypercall have no APIC before them: neither TPR nor ISR holds them, and no EOI ends them. */
static void check_hypercall(void)
{
	if (!need_hypervisor("HC_IRQ beside the APIC"))
		return;
	apic_write(APIC_TPR, 0xf0);
	hypercall(HC_IRQ, PLAIN, 0, 0);
	windows();
	check_log("HC_IRQ comes whatever TPR says", 1, PLAIN, 0);
	apic_write(APIC_TPR, 0);
	hypercall(HC_IRQ, PLAIN, 0, 0);
	send_self(HIGH);
	windows();
	check_log("HC_IRQ and an IPI", 2, PLAIN, HIGH);
	apic_write(APIC_EOI, 0);
}

static u32 errors(void)
{
	apic_write(APIC_ESR, 0);
	return apic_read(APIC_ESR);
}

static void check_errors(void)
{
	errors();
	apic_write(LVT_ERROR, LOW);
	apic_send(1, ICR_ASSERT | 5);
	report_eq("ESR shows nothing before it is written", apic_read(APIC_ESR), 0);
	apic_send(1, ICR_ASSERT | 5);
	windows();
	apic_write(APIC_EOI, 0);
	windows();
	check_log("one error interrupt until ESR is written", 1, LOW, 0);
	report_eq("an illegal vector was sent", errors(), 1 << 5);
	send_self(15);
	report_eq("sent and received", errors(), 1 << 5 | 1 << 6);
	if (x2apic) {
		apic_write(SELF_IPI, 7);
		report_eq("the same by SELF_IPI", errors(), 1 << 5 | 1 << 6);
	} else {
		report_eq("a reserved register reads 0", apic_read(0x40), 0);
		report_eq("and is an error", errors(), 1 << 7);
	}
	report_eq("no error again", errors(), 0);
	windows();
	apic_write(APIC_EOI, 0);
	windows();
	apic_write(APIC_EOI, 0);
	irq_forget();
	apic_write(LVT_ERROR, MASKED | LOW);
	send_self(1);
	windows();
	check_log("a masked error entry does not interrupt", 0, 0, 0);
	errors();
}

static void check_nmi(void)
{
	trap_hook(VEC_NMI, on_nmi);
	nmis = 0;
	apic_write(APIC_TPR, 0xff);
	apic_send(0, ICR_ASSERT | ICR_NMI);
	cpuid(0, 0);
	report_eq("an NMI by ICR, TPR or not", nmis, 1);
	apic_send(0, ICR_ASSERT | ICR_OTHERS | ICR_NMI);
	cpuid(0, 0);
	report_eq("an NMI to others", nmis, 1);
	apic_write(APIC_TPR, 0);
	trap_hook(VEC_NMI, NULL);
}

static void check_spurious(void)
{
	apic_write(APIC_SVR, 0xef);
	apic_write(LVT_ERROR, LOW);
	report_eq("off by SVR, an entry stays masked", apic_read(LVT_ERROR), MASKED | LOW);
	send_self(MIDDLE);
	windows();
	check_log("off by SVR, it takes no IPI", 0, 0, 0);
	apic_write(APIC_SVR, SVR_ON);
	report_eq("on by SVR", apic_read(APIC_SVR), SVR_ON);
	report_eq("entries stay masked until they are written", apic_read(LVT_ERROR), MASKED | LOW);
}

void check_interrupts(void)
{
	irq_forget();
	apic_write(APIC_SVR, SVR_ON);
	check_destinations();
	check_priorities();
	check_tpr();
	check_hypercall();
	check_errors();
	check_nmi();
	check_spurious();
}
