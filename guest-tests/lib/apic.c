/* SPDX-License-Identifier: MIT */
/* See apic.h. Without guards, as several CPUs may be here at once: an MSR that faults ends the guest. */
#include "guest-tests/lib/apic.h"

bool x2apic;

u32 apic_read(u32 reg)
{
	u32 lo, hi;

	if (!x2apic)
		return *(volatile u32 *)(APIC_PAGE + reg);
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_X2APIC(reg)) : "memory");
	return lo;
}

void apic_write(u32 reg, u32 value)
{
	if (!x2apic)
		*(volatile u32 *)(APIC_PAGE + reg) = value;
	else
		asm volatile("wrmsr" : : "a"(value), "d"(0), "c"(MSR_X2APIC(reg)) : "memory");
}

/* Both halves belong together: an interrupt handler may send too. */
static void send_xapic(u32 dest, u32 icr)
{
	u64 flags;

	asm volatile("pushfq\n\tpop %0\n\tcli" : "=r"(flags) : : "memory");
	for (unsigned int i = 0; i < 1000 && apic_read(APIC_ICR) & ICR_PENDING; i++)
		;
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, icr);
	if (flags & RFLAGS_IF)
		asm volatile("sti" : : : "memory");
}

void apic_send(u32 dest, u32 icr)
{
	if (x2apic)
		asm volatile("wrmsr" : : "a"(icr), "d"(dest), "c"(MSR_X2APIC(APIC_ICR)) : "memory");
	else
		send_xapic(dest, icr);
}
