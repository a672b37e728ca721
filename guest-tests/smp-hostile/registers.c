/* SPDX-License-Identifier: MIT */
/* Registers of the APIC with values that they must not have, or while others rely on them. */
#include "guest-tests/smp-hostile/hostile.h"

#define MOVED_PAGE 0xfed00000ull

enum { SVR_OFF = 0xff, DFR_CLUSTER = 0x0fffffff };

static u32 refused;

static void icr_job(u64 arg)
{
	(void)arg;
	irq_on();
	for (u64 i = 0; i < nr_turns; i++) {
		u32 dest = below(2) ? (u32)below(1ull << 32) : ~0u;

		if (send_raw(x2apic && below(2) ? (u32)below(16) : dest, some_icr()))
			__atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST);
		write_raw(APIC_ESR, 0);
		if (x2apic)
			write_raw(SELF_IPI, (u32)below(16));
	}
	irq_off();
}

static void ignore(struct trap_frame *f)
{
	(void)f;
}

void illegal_ipis(void)
{
	trap_hook(VEC_NMI, ignore);
	refused = 0;
	smp_all(icr_job, 0);
	print("%u of %lu refused\n", refused, nr_turns * smp_nr());
	if (x2apic && need_hypervisor("reserved bits are refused"))
		report(refused, "reserved bits are refused", "none was");
}

/* While the others keep changing, CPU 0 sends by every kind of name. */
static void send_meanwhile(smp_fn_t job)
{
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_call(i, job, 0);
	for (u64 i = 0; i < nr_turns; i++) {
		u32 dest = below(2) ? ~0u : 1u << below(8);
		u32 icr = ICR_ASSERT | (below(2) ? ICR_LOGICAL : 0) | VEC_ANY;

		icr |= below(4) ? 0 : ICR_LOWEST;
		apic_send(dest, icr);
		smp_ipi(some_cpu(0), below(4) ? VEC_ANY : ICR_NMI);
		irq_on();
		smp_relax();
		irq_off();
	}
	stop = 1;
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_wait(i);
}

static void names_job(u64 arg)
{
	static const u32 registers[] = { APIC_ID,  APIC_LDR, APIC_DFR,
					 APIC_TPR, APIC_SVR, APIC_VERSION };
	u32 id = apic_read(APIC_ID);

	(void)arg;
	while (!stop) {
		u32 reg = registers[below(ARRAY_SIZE(registers))];
		u32 value = (u32)below(1ull << 32);

		/* Bochs panics at models that the SDM does not define. */
		if (reg == APIC_DFR && !hypervisor())
			value = value & 1 ? ~0u : DFR_CLUSTER;
		write_raw(reg, value);
	}
	write_raw(APIC_ID, id);
	write_raw(APIC_DFR, ~0u);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, SVR_OFF);
	apic_write(APIC_SVR, SVR_ON);
}

void change_names(void)
{
	send_meanwhile(names_job);
}

static void write_base(u64 value)
{
	asm volatile(GUARDED_LOCAL("wrmsr")
		     :
		     : "a"((u32)value), "d"((u32)(value >> 32)), "c"(MSR_APIC_BASE)
		     : "r10", "r11", "memory");
}

/* With interrupts off: their handler would look for the APIC where all others have it. */
static void modes_job(u64 arg)
{
	static const u64 bits[] = { 0, BASE_EN, BASE_EXTD, BASE_EN | BASE_EXTD, BASE_EN, 0x200 };

	(void)arg;
	irq_off();
	while (!stop) {
		u64 page = hypervisor() && below(4) == 0 ? MOVED_PAGE : APIC_PAGE;

		write_base(page | bits[below(ARRAY_SIZE(bits))]);
	}
	write_base(APIC_PAGE);
	write_base(APIC_PAGE | BASE_EN);
	if (x2apic)
		write_base(APIC_PAGE | BASE_EN | BASE_EXTD);
	apic_write(APIC_SVR, SVR_ON);
	irq_on();
}

void change_modes(void)
{
	send_meanwhile(modes_job);
}
