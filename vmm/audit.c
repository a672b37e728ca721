/* SPDX-License-Identifier: MIT */
/*
 * The audit's times. Interrupts are off while guests take turns, so between two turns one step is made
 * and no more; what it costs is in the record.
 */
#include "vmm/audit.h"
#include "arch/insn.h"
#include "arch/tsc.h"
#include "asi/asi.h"
#include "asi/expose.h"
#include "lib/bitops.h"
#include "lib/log.h"

bool audit_step(struct audit_walk *w)
{
	uint64_t begin = rdtsc(), ticks;
	bool done = false;

	if (!w->spaces_done)
		w->spaces_done = asi_audit_step(&w->spaces);
	else
		done = ept_audit_step(&w->ept);
	ticks = rdtsc() - begin;
	w->violations = w->spaces.sum.violations + w->ept.sum.violations;
	w->steps++;
	w->ticks += ticks;
	w->longest = MAX(w->longest, ticks);
	return done;
}

static void record(const char *when, uint64_t walks, const struct audit_walk *w)
{
	const struct asi_audit *a = &w->spaces.sum;
	const struct ept_audit *e = &w->ept.sum;

	log_info("@audit {\"when\":\"%s\",\"walks\":%lu,\"domains\":%lu,\"leaves\":%lu,"
		 "\"bytes\":%lu,\"tables\":%lu,\"vms\":%lu,\"ept_leaves\":%lu,\"ept_bytes\":%lu,"
		 "\"ept_tables\":%lu,\"violations\":%lu,\"steps\":%lu,\"ticks\":%lu,"
		 "\"longest\":%lu%s}",
		 when, walks, a->domains, a->leaves, a->bytes, a->tables, e->vms, e->leaves,
		 e->bytes, e->tables, w->violations, w->steps, w->ticks, w->longest,
		 asi_experiment());
}

uint64_t audit_report(const char *when)
{
	struct audit_walk walk = { 0 };

	while (!audit_step(&walk))
		;
	record(when, 1, &walk);
	return walk.violations;
}

void audit_timer_start(struct audit_timer *t, uint64_t period_ms)
{
	*t = (struct audit_timer){ 0 };
	/* A period beyond what the TSC counts never comes round. */
	if (__builtin_mul_overflow(period_ms, tsc_khz(), &t->period))
		t->period = 0;
	t->next = rdtsc();
}

/* Adds a walk that has ended, or been given up, to the sum. */
static void add_walk(struct audit_timer *t)
{
	struct audit_walk sum = t->walk;

	sum.violations += t->sum.violations;
	sum.steps += t->sum.steps;
	sum.ticks += t->sum.ticks;
	sum.longest = MAX(sum.longest, t->sum.longest);
	t->sum = sum;
	t->walks++;
	t->walking = false;
	t->walk = (struct audit_walk){ 0 };
}

bool audit_is_due(const struct audit_timer *t)
{
	return t->period && (t->walking || rdtsc() >= t->next);
}

uint64_t audit_timer_next(const struct audit_timer *t)
{
	return t->walking ? 0 : t->next;
}

void audit_turn(struct audit_timer *t)
{
	if (!audit_is_due(t))
		return;
	if (!t->walking) {
		t->walking = true;
		t->next = rdtsc() + t->period;
	}
	if (audit_step(&t->walk))
		add_walk(t);
}

uint64_t audit_violations(const struct audit_timer *t)
{
	return t->sum.violations + t->walk.violations;
}

void audit_timer_report(const struct audit_timer *t)
{
	struct audit_timer all = *t;

	if (all.walking)
		add_walk(&all);
	if (all.walks)
		record("run", all.walks, &all.sum);
}
