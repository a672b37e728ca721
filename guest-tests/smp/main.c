/* SPDX-License-Identifier: MIT */
/*
 * smp: several CPUs, by the book: how they are started, interrupt each other, halt, and share memory.
 *
 * Why: INIT, SIPI and IPIs between vCPUs are emulated, each vCPU is scheduled by itself, and their memory is one. What
 * the SDM promises of them must hold for each, in both modes of the APIC, whoever runs where.
 * Expected: pass, with MEASURE lines. One CPU is enough for it to run, two for it to mean something.
 * Arguments: cpus= how many there must be, mode=xapic|x2apic|both (default both, as far as CPUID says), n= round trips
 * (default 1000), rounds= shootdowns (default 1000), seed= (default 1), held=off without what IF = 0 holds (decision 0019 says
 * where that fails, and why), and those of guest-tests/lib/smp.h.
 */
#include "guest-tests/smp/test.h"

static struct {
	u32 cpuid_1, cpuid_b, apic;
	bool first, has_b;
} ids[SMP_MAX];

static void read_ids(u64 arg)
{
	unsigned int me = smp_id();
	u32 lo, hi;

	(void)arg;
	ids[me].cpuid_1 = cpuid(1, 0).ebx >> 24;
	ids[me].has_b = cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx;
	ids[me].cpuid_b = cpuid(0xb, 0).edx;
	ids[me].apic = x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_APIC_BASE));
	ids[me].first = lo & BASE_BSP;
}

static void check_ids(void)
{
	unsigned int wrong = 0, same = 0, firsts = 0;

	smp_all(read_ids, 0);
	for (unsigned int i = 0; i < smp_nr(); i++) {
		wrong += ids[i].cpuid_1 != (ids[i].apic & 0xff);
		wrong += ids[i].has_b && ids[i].cpuid_b != ids[i].apic;
		firsts += ids[i].first;
		for (unsigned int k = 0; k < i; k++)
			same += ids[i].apic == ids[k].apic;
	}
	report_eq("APIC ids are as CPUID says", wrong, 0);
	report_eq("and distinct", same, 0);
	report(ids[0].first && firsts == 1, "one CPU is the first, and we are it", "%u are",
	       firsts);
}

static void check_arrival(void)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < smp_nr(); i++)
		wrong += smp_arrivals[i] != 1;
	report(!wrong && !smp_strangers, "every CPU arrived once", "%u did not, %u strangers",
	       wrong, smp_strangers);
	wrong = 0;
	for (unsigned int i = 1; i < smp_nr(); i++)
		wrong += smp_cpu(i)->start_page != smp_start_pages[0];
	report_eq("where SIPI said", wrong, 0);
}

u64 random_from(u64 *state)
{
	return random_next(state) >> 20;
}

void for_others(const char *name, bool (*check)(unsigned int cpu))
{
	unsigned int wrong = 0, last = 0;

	if (smp_nr() < 2) {
		skip(name, "there are no others");
		return;
	}
	for (unsigned int i = 1; i < smp_nr(); i++) {
		forget_all();
		if (!check(i)) {
			wrong++;
			last = i;
		}
	}
	forget_all();
	report(!wrong, name, "of %u CPUs, the last is %u", wrong, last);
}

static void check_all(u64 seed)
{
	print("smp: %s mode, %u CPUs\n", x2apic ? "x2APIC" : "xAPIC", smp_nr());
	check_ids();
	check_destinations();
	check_pending();
	check_halted();
	check_starts();
	check_ping_pong();
	check_shootdown();
	check_timers();
	check_random(seed);
}

void guest_main(void)
{
	bool has_x2apic = cpuid(1, 0).ecx & BIT(21), only_x2apic = arg_is("mode", "x2apic");
	u64 seed = arg_u64("seed", 1);

	if (!(cpuid(1, 0).edx & BIT(9)) || (only_x2apic && !has_x2apic)) {
		report(false, "a local APIC", "CPUID shows none of this mode");
		return;
	}
	smp_start(only_x2apic);
	check_arrival();
	check_memory();
	check_all(seed);
	if (!only_x2apic && !arg_is("mode", "xapic")) {
		if (has_x2apic) {
			smp_enter_x2apic();
			check_all(seed + 1);
		} else {
			skip("x2APIC mode", "CPUID shows none");
		}
	}
	smp_stop();
}
