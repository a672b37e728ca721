/* SPDX-License-Identifier: MIT */
/*
 * exits: what each kind of VM exit costs, seen from inside.
 *
 * Why: the price of an exit is this project's subject. Each single operation is timed with
 * RDTSC; the same code without the instruction is timed as well and its median subtracted, so
 * that on an emulator with one tick per instruction the result is the exit's round trip with
 * the exiting instruction. RDTSC under HC_TSC_EXIT is compared with itself: the two readings
 * around cost one exit, the operation between them a second.
 * Expected: pass, with one MEASURE line per kind, and with ASI on every CPUID, HLT, RDMSR,
 * WRMSR and I/O exit served without leaving the restricted address space.
 * Arguments: n= operations of each kind (default 10000). For a comparison with another hypervisor
 * (scripts/bench-kvm): irq=apic interrupts come from the local APIC; pic=on there is a PIC to read;
 * populated=MIB RAM from there on has memory behind it already, from large=MIB on in pages of 2 MiB;
 * counter=PORT the VMM's 32 bits there are this vCPU's exits so far, of all reasons.
 */
#include "guest-tests/exits/kinds.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { MAX_SAMPLES = 65536 };

static u32 samples[MAX_SAMPLES];
static unsigned int nr_samples;

/* Comb-like insertion sort (Ciura's gaps): no recursion, no second array. */
static void sort_samples(unsigned int n)
{
	static const u32 gaps[] = {
		36983, 16229, 7109, 3119, 1368, 601, 301, 132, 57, 23, 10, 4, 1
	};

	for (unsigned int g = 0; g < ARRAY_SIZE(gaps); g++) {
		u32 gap = gaps[g];

		for (u32 i = gap; i < n; i++) {
			u32 v = samples[i], j = i;

			for (; j >= gap && samples[j - gap] > v; j -= gap)
				samples[j] = samples[j - gap];
			samples[j] = v;
		}
	}
}

static void take_samples(const struct kind *k, void (*op)(void), unsigned int n)
{
	if (k->begin)
		k->begin();
	for (unsigned int i = 0; i < n; i++) {
		u64 t0, ticks;

		if (k->prepare && op == k->op) /* else the empty loop would take what it pends */
			k->prepare();
		t0 = rdtsc();
		op();
		ticks = rdtsc() - t0;
		samples[i] = ticks > ~0u ? ~0u : (u32)ticks;
	}
	if (k->end)
		k->end();
	sort_samples(n);
}

static u64 exit_count(u32 reason)
{
	return (u64)hypercall(HC_EXIT_COUNT, reason, 0, 0);
}

/* Of all reasons where only a port counts them. */
static u64 exits_so_far(u32 reason)
{
	u64 port = arg_u64("counter", 0);

	if (hypervisor())
		return exit_count(reason);
	return port ? inl((u16)port) : 0;
}

static u32 less(u32 v, u32 by)
{
	return v > by ? v - by : 0;
}

static void measure(const struct kind *k)
{
	unsigned int n = k->limit && k->limit() < nr_samples ? k->limit() : nr_samples;
	u64 sum = 0, before, after;
	u32 empty;

	if (n == 0) {
		skip(k->name, "nothing to measure");
		return;
	}
	take_samples(k, k->empty, n);
	empty = samples[n / 2];
	before = exits_so_far(k->reason);
	take_samples(k, k->op, n);
	after = exits_so_far(k->reason);
	for (unsigned int i = 0; i < n; i++)
		sum += samples[i];
	print("MEASURE kind=%s n=%u min=%u p50=%u mean=%u p99=%u max=%u empty=%u exits=%lu%s\n",
	      k->name, n, less(samples[0], empty), less(samples[n / 2], empty),
	      less((u32)(sum / n), empty), less(samples[(u64)n * 99 / 100], empty),
	      less(samples[n - 1], empty), empty, after - before, k->note);
}

static void try_kind(const struct kind *k)
{
	if (k->hypervisor_only && !need_hypervisor(k->name))
		return;
	if (k->usable && !k->usable()) {
		skip(k->name, "not offered");
		return;
	}
	if (k->begin)
		k->begin();
	if (k->prepare)
		k->prepare();
	trap_last.vector = TRAP_NONE; /* not every operation is guarded */
	k->op();
	if (k->end)
		k->end();
	if (trap_last.vector != TRAP_NONE && !k->may_fault) {
		skip(k->name, "the instruction faults");
		return;
	}
	measure(k);
}

static void check_restricted(const char *name, u32 reason)
{
	u64 count = exit_count(reason);
	u64 restricted = (u64)hypercall(HC_RESTRICTED, reason, 0, 0);

	report((s64)count >= (s64)nr_samples, name, "%ld exits of reason %u, expected %u",
	       (s64)count, reason, nr_samples);
	if (restricted == ~0ull)
		print("ASI: off for reason %u\n", reason);
	else
		report(restricted == count, name, "%lu of %lu exits of reason %u stayed restricted",
		       restricted, count, reason);
}

void guest_main(void)
{
	static const struct {
		const char *name;
		u32 reason;
	} restricted[] = {
		{ "CPUID exits", 10 }, { "HLT exits", 12 },   { "I/O exits", 30 },
		{ "RDMSR exits", 31 }, { "WRMSR exits", 32 },
	};

	nr_samples = (unsigned int)arg_u64("n", 10000);
	if (nr_samples < 1 || nr_samples > MAX_SAMPLES) {
		report(false, "argument n", "%u is not 1 to %u", nr_samples, MAX_SAMPLES);
		return;
	}
	for (const struct kind *k = kinds; k->name; k++)
		try_kind(k);
	report(true, "measured every kind", " ");
	if (!need_hypervisor("exit counts"))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(restricted); i++)
		check_restricted(restricted[i].name, restricted[i].reason);
}
