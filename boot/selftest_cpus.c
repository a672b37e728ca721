/* SPDX-License-Identifier: MIT */
/* The self-test of parked CPUs: what may come to them wakes them at most, and they halt again. */
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/tsc.h"
#include "boot/ap.h"
#include "boot/selftest_internal.h"
#include "boot/smp.h"

#define NMIS	    3
#define TEST_VECTOR 0x40
#define PATIENCE_MS 1000

/* Whether @cpu comes to have halted @times, within the time that it takes by far. */
static bool halted(uint32_t cpu, uint64_t times)
{
	uint64_t start = rdtsc();

	while (ap_halts(cpu) < times && rdtsc() - start < PATIENCE_MS * tsc_khz())
		cpu_pause();
	return ap_halts(cpu) == times;
}

/* An interrupt stays pending with interrupts off: it wakes nobody. An NMI behind it does. */
bool selftest_cpus(void)
{
	for (uint32_t cpu = 1; cpu < smp_nr_cpus(); cpu++) {
		uint64_t before = ap_halts(cpu);

		CHECK(before);
		apic_send_interrupt(smp_apic_id(cpu), TEST_VECTOR);
		for (uint64_t n = 1; n <= NMIS; n++) {
			apic_send_nmi(smp_apic_id(cpu));
			CHECK(halted(cpu, before + n));
		}
	}
	return true;
}
