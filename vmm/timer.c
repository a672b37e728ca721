/* SPDX-License-Identifier: MIT */
/*
 * The timers of a vCPU: of the hypercall, of its local APIC and of the platform. The exit path knows the first deadline
 * only.
 */
#include "lib/bitops.h"
#include "vmm/lapic.h"
#include "vmm/platform.h"
#include "vmm/vcpu.h"

/* 0 is never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void vcpu_timer_changed(struct vcpu *v)
{
	uint64_t lapic = v->lapic ? lapic_timer_deadline(v->lapic) : 0;

	v->timer_deadline = earlier(earlier(lapic, v->hc_deadline), platform_deadline(v));
	v->events.due = 0; /* the preemption timer has to be set */
}

void vcpu_check_timer(struct vcpu *v, uint64_t now)
{
	if (!v->timer_deadline || now < v->timer_deadline)
		return;
	if (v->hc_deadline && now >= v->hc_deadline) {
		v->hc_deadline = 0;
		inject_irq(v, v->hc_vector);
	}
	if (v->lapic)
		lapic_timer_expire(v, now);
	platform_expire(v, now);
	vcpu_timer_changed(v);
}
