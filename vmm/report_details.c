/* SPDX-License-Identifier: MIT */
/* With detail=on: the exits of a vCPU over time, and how long they took, as whole distributions. */
#include "lib/jsonlist.h"
#include "vmm/report.h"
#include "vmm/stats.h"
#include "vmm/vcpu.h"

/* When the samples were taken: the first as TSC, each other by what has passed since the one before. */
static void report_times(const struct vcpu *v, const char *vm)
{
	const struct exit_samples *s = &v->stats->samples;
	struct json_list list;
	uint64_t before = 0;

	json_list_begin(&list, "ticks", "@samples {\"vm\":\"%s\",\"vcpu\":%u,\"nr\":%u,", vm, v->id,
			s->nr);
	for (uint32_t i = 0; i < s->nr; i++) {
		json_list_add(&list, "%lu", s->at[i].tsc - before);
		before = s->at[i].tsc;
	}
	json_list_end(&list);
}

/* What came between each sample and the one before. */
static void report_rate(const struct vcpu *v, const char *vm, uint32_t reason, const char *name)
{
	const struct exit_samples *s = &v->stats->samples;
	struct json_list list;
	uint32_t before = 0;

	json_list_begin(&list, "counts", "@rate {\"vm\":\"%s\",\"vcpu\":%u,\"reason\":\"%s\",", vm,
			v->id, name);
	for (uint32_t i = 0; i < s->nr; i++) {
		json_list_add(&list, "%u", s->at[i].counts[reason] - before);
		before = s->at[i].counts[reason];
	}
	json_list_end(&list);
}

/* Pairs: the largest number of ticks that a bucket takes, and the exits in it. */
static void report_latency(const struct vcpu *v, const char *vm, uint32_t reason)
{
	const uint32_t *bucket = v->stats->bucket[reason];
	struct json_list list;

	json_list_begin(&list, "buckets", "@latency {\"vm\":\"%s\",\"vcpu\":%u,\"reason\":\"%s\",",
			vm, v->id, stats_reason_name(reason));
	for (unsigned int i = 0; i < HIST_BUCKETS; i++)
		if (bucket[i])
			json_list_add(&list, "[%lu,%u]", stats_bucket_edge(i), bucket[i]);
	json_list_end(&list);
}

void report_vcpu_details(const struct vcpu *v, const char *vm, const uint8_t *order, unsigned int n)
{
	stats_sample(v->stats, v->exit_tsc);
	report_times(v, vm);
	report_rate(v, vm, SAMPLE_LEFT, "left");
	for (unsigned int i = 0; i < n; i++) {
		report_rate(v, vm, order[i], stats_reason_name(order[i]));
		report_latency(v, vm, order[i]);
	}
}
