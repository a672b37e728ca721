/* SPDX-License-Identifier: MIT */
/* How long an IPI and its answer take: between two CPUs that wait in a loop, and that wait halted. */
#include "guest-tests/smp/test.h"

enum { SAMPLES_MAX = 65536 };

static volatile u32 pongs, stop;
static u32 samples[SAMPLES_MAX];

static void on_ping(struct trap_frame *f)
{
	(void)f;
	apic_write(APIC_EOI, 0);
	smp_ipi(0, VEC_PONG);
}

static void on_pong(struct trap_frame *f)
{
	(void)f;
	apic_write(APIC_EOI, 0);
	pongs++;
}

static void spin_job(u64 arg)
{
	(void)arg;
	while (!stop)
		smp_relax();
}

static void sort(u32 *a, u32 n)
{
	for (u32 gap = n / 2; gap; gap /= 2) {
		for (u32 i = gap; i < n; i++) {
			u32 v = a[i], k = i;

			for (; k >= gap && a[k - gap] > v; k -= gap)
				a[k] = a[k - gap];
			a[k] = v;
		}
	}
}

static void print_samples(const char *kind, u32 n)
{
	u64 sum = 0;

	for (u32 i = 0; i < n; i++)
		sum += samples[i];
	sort(samples, n);
	print("MEASURE kind=%s n=%u min=%u p50=%u mean=%u p99=%u max=%u\n", kind, n, samples[0],
	      samples[n / 2], (u32)(sum / n), samples[(u64)n * 99 / 100], samples[n - 1]);
}

static bool spinning_until(const volatile u32 *count, u32 want)
{
	bool came;

	irq_on();
	came = smp_await(count, want, smp_patience());
	irq_off();
	return came;
}

/* @n round trips to @peer, each waited for by @wait; how many came back. */
static u32 round_trips(const char *kind, unsigned int peer, u32 n,
		       bool (*wait)(const volatile u32 *count, u32 want))
{
	pongs = 0;
	for (u32 i = 0; i < n; i++) {
		u64 start = rdtsc();

		smp_ipi(peer, VEC_PING);
		if (!wait(&pongs, i + 1))
			return pongs;
		samples[i] = (u32)(rdtsc() - start);
	}
	print_samples(kind, n);
	return pongs;
}

void check_ping_pong(void)
{
	u64 want = arg_u64("n", 1000);
	u32 n = want < SAMPLES_MAX ? (u32)want : SAMPLES_MAX, trips;

	if (smp_nr() < 2 || !n) {
		skip("round trips", "nobody to answer");
		return;
	}
	trap_hook(VEC_PING, on_ping);
	trap_hook(VEC_PONG, on_pong);
	stop = 0;
	smp_call(1, spin_job, 0);
	trips = round_trips("ipi-spinning", 1, n, spinning_until);
	stop = 1;
	smp_wait(1);
	report_eq("round trips of two CPUs that spin", trips, n);
	report_eq("round trips of two CPUs that halt",
		  round_trips("ipi-halted", smp_nr() - 1, n, halted_until), n);
}
