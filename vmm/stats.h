/* SPDX-License-Identifier: MIT */
/*
 * Exit statistics of one vCPU: for each basic exit reason the count, how many stayed
 * restricted, and a histogram of the ticks from exit to the next entry. LOCAL memory. The
 * update is inline: every VM exit pays for it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/bitops.h"
#include "lib/compiler.h"

#define EXIT_REASON_NR 70 /* SDM, "VMX basic exit reasons": 0 to 69 and what stands above as 69 */

/* Log-linear: exact below 64 ticks, above it 32 buckets an octave (3.2 % wide). */
#define HIST_SUB_BITS 5
#define HIST_SUB_NR   (1u << HIST_SUB_BITS)
#define HIST_BUCKETS  2048 /* 1920 in use; a power of two, so that a shift finds a row */

struct exit_stats {
	uint64_t count, restricted;
	uint64_t sum, min, max;
	uint64_t unused[3]; /* 64 bytes: a cache line each */
};

/*
 * How the counts were over time: noted at the beginning of a turn, when a period has passed. When there is room for no
 * more, each second one goes and the period doubles, so that they always span the whole run.
 */
#define SAMPLES_MAX    128
#define SAMPLE_MS      10 /* the first period */
#define SAMPLE_REASONS (EXIT_REASON_NR + 1)
#define SAMPLE_LEFT    EXIT_REASON_NR /* in place of a reason: exits that were not served restricted */

struct exit_sample {
	uint64_t tsc;
	uint32_t counts[SAMPLE_REASONS]; /* so far; they wrap */
};

struct exit_samples {
	uint64_t period, next; /* ticks; TSC at which one is due */
	uint32_t nr;
	struct exit_sample at[SAMPLES_MAX];
};

struct vcpu_stats {
	struct exit_stats exits[EXIT_REASON_NR];
	uint64_t seen[(EXIT_REASON_NR + 63) /
		      64]; /* reasons that there have been, a bit each: samples look at no others */
	uint32_t bucket[EXIT_REASON_NR][HIST_BUCKETS];
	struct exit_samples samples;
};

/* Starts from nothing seen; memory is cleared already. @period: of samples, in ticks, at first. */
static inline void stats_init(struct vcpu_stats *s, uint64_t period)
{
	s->samples.period = period;
	for (unsigned int i = 0; i < EXIT_REASON_NR; i++)
		s->exits[i].min = ~0UL;
}

/* Below 64 the value itself; above, its leading six bits and its exponent. */
static inline unsigned int stats_bucket(uint64_t ticks)
{
	unsigned int shift = bit_highest(ticks | HIST_SUB_NR) - HIST_SUB_BITS;

	return shift * HIST_SUB_NR + (unsigned int)(ticks >> shift);
}

/* Notes one exit that took @ticks; @reason is below EXIT_REASON_NR. */
static inline void stats_note(struct vcpu_stats *s, uint32_t reason, uint64_t ticks,
			      bool restricted)
{
	struct exit_stats *e = &s->exits[reason];

	s->bucket[reason][stats_bucket(ticks)]++;
	e->count++;
	e->restricted += restricted;
	e->sum += ticks;
	if (unlikely(ticks < e->min)) {
		e->min = ticks;
		s->seen[reason / 64] |= BIT(reason % 64); /* the first of a reason comes by here */
	}
	if (unlikely(ticks > e->max))
		e->max = ticks;
}

/* Takes a sample, by @tsc, whatever the period. */
void stats_sample(struct vcpu_stats *s, uint64_t tsc);
/* Takes one if it is due. At each beginning of a turn. */
static inline void stats_maybe_sample(struct vcpu_stats *s, uint64_t tsc)
{
	if (unlikely(tsc >= s->samples.next))
		stats_sample(s, tsc);
}

/* The largest value that falls into @bucket. */
uint64_t stats_bucket_edge(unsigned int bucket);

/*
 * The smallest value that at least @permille of the samples of @reason do not exceed (upper bucket
 * edge); 0 without a sample.
 */
uint64_t stats_quantile(const struct vcpu_stats *s, uint32_t reason, unsigned int permille);

/* The SDM's name of a basic exit reason. */
const char *stats_reason_name(uint32_t reason);
