/* SPDX-License-Identifier: MIT */
/* The self-test of parked CPUs: what may come to them wakes them at most, and they halt again. */
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/tsc.h"
#include "boot/ap.h"
#include "boot/selftest_internal.h"

#define NMIS	    3
#define ROUNDS	    100
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

static uint64_t seen; /* a bit for each CPU */

void selftest_cpus_work(void)
{
	__atomic_fetch_or(&seen, BIT(this_cpu(cpu_number)), __ATOMIC_RELAXED);
}

/* All take part in what is run everywhere, and in nothing before and behind it. */
static bool all_run(void)
{
	uint64_t all = BITS(cpus_nr() - 1, 0);

	for (unsigned int i = 0; i < ROUNDS; i++) {
		seen = 0;
		CHECK(cpus_active() == 1);
		ap_do_everywhere(AP_SELFTEST, all);
		CHECK(seen == all);
	}
	CHECK(cpus_active() == 1);
	return true;
}

/* A stray interrupt, a kick and NMIs wake a parked CPU, which halts again. */
static bool wakes(uint32_t cpu)
{
	uint64_t halts = ap_halts(cpu);

	CHECK(halts);
	apic_send_interrupt(cpu_apic_id(cpu), TEST_VECTOR);
	CHECK(halted(cpu, ++halts));
	cpu_kick(cpu);
	CHECK(halted(cpu, ++halts));
	for (unsigned int i = 0; i < NMIS; i++) {
		apic_send_nmi(cpu_apic_id(cpu));
		CHECK(halted(cpu, ++halts));
	}
	return true;
}

bool selftest_cpus(void)
{
	for (uint32_t cpu = 1; cpu < cpus_nr(); cpu++)
		CHECK(wakes(cpu));
	return all_run();
}
