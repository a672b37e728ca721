/* SPDX-License-Identifier: MIT */
/*
 * Local APIC, x2APIC (by MSR, so that it needs no mapping and is NMI-safe) or xAPIC. SDM,
 * "Advanced Programmable Interrupt Controller (APIC)".
 */
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"

#define APIC_BASE_X2APIC (1UL << 10)
#define APIC_BASE_ENABLE (1UL << 11)

/* Register offsets; x2APIC MSRs are 0x800 + offset / 16. */
enum apic_register {
	APIC_ID = 0x020,
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

#define ICR_NMI	     (4u << 8)
#define ICR_INIT     (5u << 8)
#define ICR_STARTUP  (6u << 8)
#define ICR_BUSY     (1u << 12)
#define ICR_ASSERT   (1u << 14)
#define LVT_MASKED   (1u << 16)
#define LVT_DEADLINE (2u << 17)
#define SVR_ENABLE   (1u << 8)

#define XAPIC_EVERYONE 0xff /* no CPU's id but a broadcast */

/* An xAPIC delivers at once, or where nobody is, perhaps never: then what is sent is lost. */
#define SEND_SPINS 1000000

static __nonsensitive bool x2apic;
static __nonsensitive bool apic_has_deadline;
static __nonsensitive volatile uint32_t *xapic;
static __percpu uint64_t interrupt_count;

static uint32_t apic_read(enum apic_register reg)
{
	return x2apic ? (uint32_t)rdmsr(0x800 + reg / 16) : xapic[reg / 4];
}

static void apic_write(enum apic_register reg, uint32_t v)
{
	if (x2apic)
		wrmsr(0x800 + reg / 16, v);
	else
		xapic[reg / 4] = v;
}

void apic_init(volatile uint32_t *registers)
{
	xapic = registers;
	x2apic = cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC;
	apic_has_deadline = cpuid(1, 0).ecx & CPUID_1_ECX_TSC_DEADLINE;
	outb(0x21, 0xff); /* both 8259s: mask all */
	outb(0xa1, 0xff);
	apic_init_cpu();
}

void apic_init_cpu(void)
{
	static const enum apic_register lvts[] = { APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1,
						   APIC_LVT_ERROR };
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	wrmsr(MSR_APIC_BASE, base); /* xAPIC mode first: disabled to x2APIC is no legal step */
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	for (unsigned int i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], LVT_MASKED);
	if (apic_has_deadline)
		apic_write(APIC_LVT_TIMER, LVT_DEADLINE | APIC_VECTOR_TIMER);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, SVR_ENABLE | APIC_VECTOR_SPURIOUS);
}

uint32_t apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return x2apic ? id : id >> 24;
}

bool apic_reaches(uint32_t id)
{
	return id < (x2apic ? UINT32_MAX : XAPIC_EVERYONE);
}

/* An NMI between the two writes to an xAPIC may send as well: it puts the first one back. */
static void apic_send(uint32_t id, uint32_t icr)
{
	uint32_t high;

	if (x2apic) {
		/* Unlike a store, this WRMSR does not wait for those before it. */
		memory_fence();
		load_fence();
		wrmsr(0x800 + APIC_ICR_LOW / 16, icr | (uint64_t)id << 32);
		return;
	}
	for (unsigned int i = 0; i < SEND_SPINS && xapic[APIC_ICR_LOW / 4] & ICR_BUSY; i++)
		cpu_pause();
	/* The self shorthand is for fixed interrupts only; an NMI names this CPU. */
	high = xapic[APIC_ICR_HIGH / 4];
	xapic[APIC_ICR_HIGH / 4] = id << 24;
	xapic[APIC_ICR_LOW / 4] = icr;
	for (unsigned int i = 0; i < SEND_SPINS && xapic[APIC_ICR_LOW / 4] & ICR_BUSY; i++)
		cpu_pause();
	xapic[APIC_ICR_HIGH / 4] = high;
}

void apic_send_interrupt(uint32_t id, uint8_t vector)
{
	apic_send(id, ICR_ASSERT | vector);
}

void apic_send_nmi(uint32_t id)
{
	apic_send(id, ICR_NMI | ICR_ASSERT);
}

void apic_send_init(uint32_t id)
{
	apic_send(id, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
	apic_send(id, ICR_STARTUP | ICR_ASSERT | page);
}

/* SDM, "TSC-Deadline Mode": in xAPIC mode the LVT is written by a store, which the WRMSR may overtake. */
bool apic_timer_set(uint64_t tsc)
{
	if (!apic_has_deadline)
		return false;
	memory_fence();
	wrmsr(MSR_TSC_DEADLINE, tsc);
	return true;
}

bool apic_interrupt(uint8_t vector)
{
	this_cpu(interrupt_count)++;
	if (vector != APIC_VECTOR_SPURIOUS) /* which has no in-service bit to clear */
		apic_write(APIC_EOI, 0);
	if (vector == APIC_VECTOR_KICK) {
		cpu_serve();
		cpu_kicked();
	} else if (vector == APIC_VECTOR_CONSOLE) {
		apic_console_input();
	}
	return true;
}

uint64_t apic_interrupts_of(uint32_t cpu)
{
	return READ_ONCE(*percpu_of(cpu, interrupt_count));
}
