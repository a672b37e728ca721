/* SPDX-License-Identifier: MIT */
/* vmm/stats.c: quantiles of the histogram against sorted samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/vmx.h"
#include "unittests/seed.h"
#include "vmm/stats.h"

#define SAMPLES 5000

static struct vcpu_stats stats;
static uint64_t sample[SAMPLES];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The value that permille of the sorted samples do not exceed. */
static uint64_t exact(size_t n, unsigned int permille)
{
	size_t rank = (n * permille + 999) / 1000;

	return sample[rank ? rank - 1 : 0];
}

static void check(size_t n)
{
	const struct exit_stats *e = &stats.exits[EXIT_REASON_CPUID];

	qsort(sample, n, sizeof(sample[0]), compare);
	assert_int_equal(e->count, n);
	assert_int_equal(e->min, sample[0]);
	assert_int_equal(e->max, sample[n - 1]);
	for (unsigned int permille = 0; permille <= 1000; permille += 5) {
		uint64_t want = exact(n, permille),
			 got = stats_quantile(&stats, EXIT_REASON_CPUID, permille);

		/* Exact below 64, else the upper edge of a bucket a 32nd of an octave wide. */
		assert_true(got >= want);
		assert_true(got <= want + (want < 64 ? 0 : want / 32));
	}
}

/* Sets of every size of number, of small and large range; 64 samples up to all of them. */
static void test_quantiles(void **state)
{
	(void)state;
	seed_start(20240607);
	for (unsigned int bits = 1; bits <= 32; bits++) {
		size_t n = 1 + seed_below(SAMPLES);
		uint64_t sum = 0;

		memset(&stats, 0, sizeof(stats));
		stats_init(&stats, 1000);
		for (size_t i = 0; i < n; i++) {
			sample[i] = seed_below(1UL << (1 + seed_below(bits)));
			if (sample[i] > 0xffffffff)
				sample[i] = 0xffffffff;
			sum += sample[i];
			stats_note(&stats, EXIT_REASON_CPUID, sample[i], i % 3 == 0);
		}
		assert_int_equal(stats.exits[EXIT_REASON_CPUID].sum, sum);
		assert_int_equal(stats.exits[EXIT_REASON_CPUID].restricted, (n + 2) / 3);
		check(n);
	}
}

/* Each power of two and its neighbours, alone: the quantile is the value itself. */
static void test_single_values(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		for (int around = -1; around <= 1; around++) {
			uint64_t value = (1UL << bit) + (uint64_t)around;

			memset(&stats, 0, sizeof(stats));
			stats_init(&stats, 1000);
			stats_note(&stats, EXIT_REASON_CPUID, value, true);
			assert_int_equal(stats_quantile(&stats, EXIT_REASON_CPUID, 500), value);
		}
	}
}

/* The last reason has its row; every reason has a name that fits the table. */
static void test_reasons(void **state)
{
	(void)state;
	memset(&stats, 0, sizeof(stats));
	stats_init(&stats, 1000);
	stats_note(&stats, 69, 1, false);
	assert_int_equal(stats.exits[69].count, 1);
	assert_string_equal(stats_reason_name(EXIT_REASON_CPUID), "CPUID");
	assert_string_equal(stats_reason_name(EXIT_REASON_EPT_VIOLATION), "EPT_VIOLATION");
	assert_string_equal(stats_reason_name(35), "RESERVED");
	assert_string_equal(stats_reason_name(70), "RESERVED");
	for (uint32_t r = 0; r < EXIT_REASON_NR; r++)
		assert_true(strlen(stats_reason_name(r)) <= 19);
}

/* However long the run, its samples span it, no exit is lost between them, and none is more than a period apart. */
static void test_samples(void **state)
{
	const struct exit_samples *s = &stats.samples;

	(void)state;
	memset(&stats, 0, sizeof(stats));
	stats_init(&stats, 10);
	for (uint64_t now = 1; now <= 5000; now++) {
		stats_note(&stats, EXIT_REASON_CPUID, 1, now % 2);
		stats_maybe_sample(&stats, now);
	}
	assert_int_equal(s->period, 40);
	assert_true(s->nr > SAMPLES_MAX / 2 && s->nr <= SAMPLES_MAX);
	for (uint32_t i = 0; i < s->nr; i++) {
		assert_int_equal(s->at[i].counts[EXIT_REASON_CPUID], s->at[i].tsc);
		assert_int_equal(s->at[i].counts[SAMPLE_LEFT], s->at[i].tsc / 2);
		if (i)
			assert_in_range(s->at[i].tsc - s->at[i - 1].tsc, 10, 40);
	}
	assert_true(s->at[0].tsc < 80 && s->at[s->nr - 1].tsc > 5000 - 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_single_values),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
