/* SPDX-License-Identifier: MIT */
/* When the audit runs: whole, before and after the guests, and in steps between their turns. */
#pragma once
#include "asi/audit.h"
#include "vmm/audit_ept.h"

/* A walk through everything, under way: all address spaces, then what guests reach. Starts as all zeros. */
struct audit_walk {
	struct asi_audit_walk spaces;
	struct ept_audit_walk ept;
	bool spaces_done;
	uint64_t violations;
	uint64_t steps, ticks, longest; /* TSC ticks of all steps, and of the longest */
};

/* The next part, of bounded work; true when that was the last. Unrestricted, and the world stands still (arch/world.h). */
bool audit_step(struct audit_walk *walk);

/* Audits now and writes the @audit record; @when is its field. Returns the violations. Unrestricted. */
uint64_t audit_report(const char *when);

/* Of one CPU, on its stack, so that to look at it costs no crossing. */
struct audit_timer {
	uint64_t period, next; /* TSC ticks; period 0: never */
	uint64_t walks;	       /* ended */
	bool walking;
	struct audit_walk sum; /* of them; what was looked at, of the last */
	struct audit_walk walk;
};

/* A walk begins every @period_ms from now on, as far as there are turns; 0: none does. */
void audit_timer_start(struct audit_timer *t, uint64_t period_ms);
/* Whether a step is due, and when the next walk is: TSC. */
bool audit_is_due(const struct audit_timer *t);
uint64_t audit_timer_next(const struct audit_timer *t);
/* Between two turns: the next step if one is due. Unrestricted, the world stands still. */
void audit_turn(struct audit_timer *t);
/* Violations so far, those of the walk under way included. */
uint64_t audit_violations(const struct audit_timer *t);
/* Writes the @audit record of all walks since the start, if there were any. */
void audit_timer_report(const struct audit_timer *t);
