/* SPDX-License-Identifier: MIT */
/*
 * TSC frequency. Measured, because CPUID leaves 0x15 and 0x16 are wrong in emulators (Bochs
 * claims 3.5 GHz while the TSC counts instructions).
 */
#include "arch/tsc.h"
#include "arch/insn.h"

#define PIT_HZ	     1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND  0x43
#define PORT_B	     0x61 /* bit 0: gate of channel 2, bit 1: speaker, bit 5: output */
#define PM_TIMER_HZ  3579545
#define MEASURE_MS   10
#define TSC_KHZ_MIN  1000
#define TSC_KHZ_MAX  20000000

static __nonsensitive uint64_t tsc_measured_khz = 1000000;
static __initdata const char *source = "guess";

/* One shot of channel 2 (mode 0: output rises when the count ends). 0 if there is no PIT. */
static __init uint64_t measure_pit(void)
{
	uint16_t count = PIT_HZ * MEASURE_MS / 1000;
	uint64_t start, end, limit;

	outb(PORT_B, (uint8_t)((inb(PORT_B) & ~2) | 1));
	outb(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0 */
	outb(PIT_CHANNEL2, (uint8_t)count);
	outb(PIT_CHANNEL2, (uint8_t)(count >> 8));
	start = rdtsc();
	limit = start + (uint64_t)TSC_KHZ_MAX * MEASURE_MS;
	if (inb(PORT_B) & 0x20)
		return 0; /* floats high: nothing there */
	do {
		end = rdtsc();
		if (end > limit)
			return 0;
	} while (!(inb(PORT_B) & 0x20));
	return (end - start) / MEASURE_MS;
}

/* SDM, "Determining the processor base frequency": crystal * ratio. */
static __init uint64_t from_cpuid(void)
{
	struct cpuid_regs r;

	if (cpuid(0, 0).eax < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
}

/* ACPI specification, "Power Management Timer": 3.579545 MHz, 24 bits at the least. */
static __init uint64_t measure_pm_timer(uint16_t port)
{
	const uint32_t mask = 0xffffff, ticks = PM_TIMER_HZ * MEASURE_MS / 1000;
	uint64_t start = rdtsc(), limit = start + (uint64_t)TSC_KHZ_MAX * MEASURE_MS, end;
	uint32_t first;

	if (!port)
		return 0;
	first = inl(port) & mask;
	do {
		end = rdtsc();
		if (end > limit)
			return 0;
	} while (((inl(port) - first) & mask) < ticks);
	return (end - start) / MEASURE_MS;
}

void __init tsc_init(uint16_t pm_timer_port)
{
	const struct {
		const char *source;
		uint64_t khz;
	} found[] = {
		{ "pit", measure_pit() },
		{ "pm-timer", measure_pm_timer(pm_timer_port) },
		{ "cpuid", from_cpuid() },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(found); i++) {
		if (found[i].khz < TSC_KHZ_MIN)
			continue;
		tsc_measured_khz = found[i].khz;
		source = found[i].source;
		return;
	}
}

uint64_t tsc_khz(void)
{
	return tsc_measured_khz;
}

const char __init *tsc_source(void)
{
	return source;
}
