/* SPDX-License-Identifier: MIT */
/* The parts of this test. */
#pragma once

#include "guest-tests/lib/random.h"
#include "guest-tests/lib/smp.h"

/* What one CPU has done and seen; each writes its own only. */
struct worker {
	u64 n, ticks;
	u64 halts, sent, churns;
	u64 bad_registers, bad_memory, bad_churns; /* must stay 0 */
	u64 random_state;
};

extern struct worker workers[SMP_MAX];

/* A word that no other CPU has, with the secret in its lower seven bytes. */
u64 pattern_of(unsigned int cpu);

/*
 * pattern.S: fills all registers but RSP, SSE's too, with words that follow from @pattern, counts @turns down, and
 * returns 0 if all still hold them.
 */
u64 pattern_hold(u64 pattern, u64 turns);

/* churn.c: memory goes back to the hypervisor and comes again. False if there is too little, or no hypervisor. */
bool churn_init(void);
void churn(struct worker *w, unsigned int cpu);
/* All done: is what is left as what was done says? */
void churn_report(void);
