/* SPDX-License-Identifier: MIT */
/*
 * Comparing the TSCs of two CPUs: one asks for a reading, the other answers at once. A reading that is earlier
 * than the question, or later than the answer's arrival, shows how far the two are apart at least.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Cleared by whoever asks, before the other looks. */
struct tscsync {
	uint32_t asked, answered; /* questions so far */
	uint64_t reading;
};

/* Asks, many times. The largest distance in *@off; false if an answer took longer than @patience ticks. */
bool tscsync_ask(struct tscsync *s, uint64_t patience, uint64_t *off);
/* Answers a question that is open; to be called again and again. */
void tscsync_answer(struct tscsync *s);
