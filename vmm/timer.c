/* SPDX-License-Identifier: MIT */
/* The timers of a vCPU: of the hypercall and of its local APIC. The exit path knows the first deadline only. */
#include "lib/bitops.h"
#include "vmm/lapic.h"
#include "vmm/vcpu.h"

void vcpu_timer_changed(struct vcpu *v)
{
	uint64_t deadline = v->lapic ? lapic_timer_deadline(v->lapic) : 0;

	if (v->hc_deadline && (!deadline || v->hc_deadline < deadline))
		deadline = v->hc_deadline;
	v->timer_deadline = deadline;
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
	vcpu_timer_changed(v);
}
