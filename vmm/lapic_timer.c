/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer. It does not count: TMCCT follows from the TSC at which it will reach 0. SDM, "APIC
 * Timer". The crystal clock that drives it is the one of CPUID 15h.
 */
#include "arch/insn.h"
#include "lib/bitops.h"
#include "vmm/lapic_internal.h"
#include "vmm/vcpu.h"

#define MODE_SHIFT    17
#define MODE_PERIODIC 1U
#define MODE_DEADLINE 2U
/* TSC ticks; a few exits: with a shorter period the guest would do nothing but take interrupts. */
#define PERIOD_MIN 5000UL

static uint32_t mode_of(uint32_t lvt)
{
	return lvt >> MODE_SHIFT & 3;
}

static bool by_deadline(const struct lapic *l)
{
	return mode_of(l->regs[LAPIC_LVT_TIMER][0]) == MODE_DEADLINE;
}

/* TSC ticks in @count; below 2^32 * 128 * a few. Divide configuration: 0 is 2, 6 is 128, 7 is 1. */
static uint64_t ticks_of(const struct lapic *l, uint32_t count)
{
	uint32_t dcr = l->regs[LAPIC_DCR][0], shift = ((dcr & 3) + (dcr >> 1 & 4) + 1) & 7;

	return (uint64_t)count * l->ratio << shift;
}

static uint64_t period(const struct lapic *l)
{
	return MAX(ticks_of(l, l->regs[LAPIC_TMICT][0]), PERIOD_MIN);
}

/* Ends that were missed count as one. */
void lapic_timer_expire(struct vcpu *v, uint64_t now)
{
	struct lapic *l = v->lapic;

	if (!l->timer_end || now < l->timer_end)
		return;
	if (mode_of(l->regs[LAPIC_LVT_TIMER][0]) == MODE_PERIODIC)
		l->timer_end += ((now - l->timer_end) / period(l) + 1) * period(l);
	else
		l->timer_end = 0;
	lapic_local(v, LAPIC_LVT_TIMER);
}

uint64_t lapic_timer_deadline(const struct lapic *l)
{
	return l->regs[LAPIC_LVT_TIMER][0] & LVT_MASKED ? 0 : l->timer_end;
}

/* Rounded up: 0 is read when it has ended. A period that was made longer shows its first count longer. */
static uint32_t count_at(const struct lapic *l, uint64_t now)
{
	uint64_t count = 0;

	if (l->timer_end && !by_deadline(l))
		count = DIV_ROUND_UP(l->timer_end - now, ticks_of(l, 1));
	return (uint32_t)MIN(count, l->regs[LAPIC_TMICT][0]);
}

uint32_t lapic_timer_count(struct vcpu *v)
{
	uint64_t now = rdtsc();

	lapic_timer_expire(v, now);
	return count_at(v->lapic, now);
}

static void set_lvt(struct lapic *l, uint32_t value)
{
	bool before = by_deadline(l);

	l->regs[LAPIC_LVT_TIMER][0] = value;
	if (by_deadline(l) != before)
		l->timer_end = 0;
}

static void set_initial_count(struct lapic *l, uint32_t value, uint64_t now)
{
	if (by_deadline(l))
		return; /* SDM: ignored in this mode */
	l->regs[LAPIC_TMICT][0] = value;
	l->timer_end = 0;
	if (value && mode_of(l->regs[LAPIC_LVT_TIMER][0]) == MODE_PERIODIC)
		l->timer_end = now + period(l);
	else if (value)
		l->timer_end = now + ticks_of(l, value);
}

/* The count goes on where it is, at the new pace. */
static void set_divide(struct lapic *l, uint32_t value, uint64_t now)
{
	uint32_t count = count_at(l, now);

	l->regs[LAPIC_DCR][0] = value;
	if (count)
		l->timer_end = now + ticks_of(l, count);
}

void lapic_timer_write(struct vcpu *v, enum lapic_reg reg, uint32_t value)
{
	uint64_t now = rdtsc();

	lapic_timer_expire(v, now);
	if (reg == LAPIC_LVT_TIMER)
		set_lvt(v->lapic, value);
	else if (reg == LAPIC_TMICT)
		set_initial_count(v->lapic, value, now);
	else
		set_divide(v->lapic, value, now);
	vcpu_timer_changed(v);
}

uint64_t lapic_tsc_deadline(struct vcpu *v)
{
	lapic_timer_expire(v, rdtsc());
	return by_deadline(v->lapic) ? v->lapic->timer_end : 0;
}

void lapic_set_tsc_deadline(struct vcpu *v, uint64_t deadline)
{
	if (!by_deadline(v->lapic))
		return; /* SDM: ignored in other modes */
	lapic_timer_expire(v, rdtsc());
	v->lapic->timer_end = deadline;
	vcpu_timer_changed(v);
}
