/* SPDX-License-Identifier: MIT */
/*
 * Local APIC, x2APIC (by MSR, so that it needs no mapping and is NMI-safe) or xAPIC. SDM,
 * "Advanced Programmable Interrupt Controller (APIC)".
 */
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"

#define APIC_BASE_X2APIC (1UL << 10)
#define APIC_BASE_ENABLE (1UL << 11)

/* Register offsets; x2APIC MSRs are 0x800 + offset / 16. */
enum apic_register {
	APIC_TPR = 0x080,
	APIC_EOI = 0x0b0,
	APIC_SVR = 0x0f0,
	APIC_ICR_LOW = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
};

#define ICR_NMI	   (4u << 8)
#define ICR_ASSERT (1u << 14)
#define ICR_BUSY   (1u << 12)
#define LVT_MASKED (1u << 16)
#define SVR_ENABLE (1u << 8)

static __nonsensitive bool x2apic;
static __nonsensitive volatile uint32_t *xapic;
static __percpu uint64_t interrupt_count;

static void apic_write(enum apic_register reg, uint32_t v)
{
	if (x2apic)
		wrmsr(0x800 + reg / 16, v);
	else
		xapic[reg / 4] = v;
}

void apic_init(volatile uint32_t *registers)
{
	static const enum apic_register lvts[] = { APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1,
						   APIC_LVT_ERROR };
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	xapic = registers;
	x2apic = cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC;
	wrmsr(MSR_APIC_BASE, base); /* xAPIC mode first: disabled to x2APIC is no legal step */
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);

	outb(0x21, 0xff); /* both 8259s: mask all */
	outb(0xa1, 0xff);
	for (unsigned int i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], LVT_MASKED);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, SVR_ENABLE | APIC_VECTOR_SPURIOUS);
}

static void apic_send_self(uint32_t icr)
{
	if (x2apic) {
		wrmsr(0x800 + APIC_ICR_LOW / 16, icr | (uint64_t)cpuid(0xb, 0).edx << 32);
		return;
	}
	while (xapic[APIC_ICR_LOW / 4] & ICR_BUSY)
		cpu_pause();
	/* The self shorthand is for fixed interrupts only; an NMI names this CPU. */
	xapic[APIC_ICR_HIGH / 4] = cpuid(1, 0).ebx & 0xff000000;
	xapic[APIC_ICR_LOW / 4] = icr;
}

void apic_self_interrupt(uint8_t vector)
{
	apic_send_self(ICR_ASSERT | vector);
}

void apic_self_nmi(void)
{
	apic_send_self(ICR_NMI | ICR_ASSERT);
}

bool apic_interrupt(uint8_t vector)
{
	this_cpu(interrupt_count)++;
	if (vector != APIC_VECTOR_SPURIOUS) /* which has no in-service bit to clear */
		apic_write(APIC_EOI, 0);
	return true;
}

uint64_t apic_interrupts(void)
{
	return this_cpu(interrupt_count);
}
