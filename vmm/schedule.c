/* SPDX-License-Identifier: MIT */
/*
 * Who runs next: every VM in turn, on one CPU. The loop runs on the base stack, which is sensitive: each
 * turn begins and ends in the unrestricted space. A VM that is the last one left does not come
 * back here between its turns: halts and ends of turns cost no crossing then.
 */
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/tsc.h"
#include "asi/asi.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "vmm/audit.h"
#include "vmm/idle.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define SLICE_MS 10

void cpu_kicked(void)
{
}

void sched_run(void)
{
}

bool vcpu_ready(struct vcpu *v)
{
	struct vm *vm = v->vm;
	uint64_t now = rdtsc(), slice = SLICE_MS * tsc_khz();

	if (vm->limit) {
		if (v->guest_ticks >= vm->limit) {
			vm_stop(vm, VERDICT_STOPPED, "time-limit", 0);
			return false;
		}
		slice = MIN(slice, vm->limit - v->guest_ticks);
	}
	if (v->state == VCPU_HALTED) {
		if (v->timer_deadline && now < v->timer_deadline) {
			/* A sleep counts no guest time; one beyond the limit would never end. */
			if (vm->limit && now - v->exit_tsc >= vm->limit)
				vm_stop(vm, VERDICT_STOPPED, "time-limit", 0);
			return false;
		}
		/* Only its timer can wake a guest that has pended nothing for itself. */
		if (!vcpu_wake(v)) {
			vm_stop(vm, VERDICT_STOPPED, "halted", 0);
			return false;
		}
	}
	v->slice_end = now + slice;
	return true;
}

uint64_t vm_run_all(struct vm **vms, unsigned int nr, uint64_t audit_ms)
{
	uint64_t flags = irq_save(), khz = tsc_khz();
	struct vm *live[VMS_MAX];
	struct audit_timer audit;

	ASSERT(nr <= VMS_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		live[i] = vms[i];
		/* A limit beyond what the TSC counts is none. */
		if (__builtin_mul_overflow(live[i]->options.limit_ms, khz, &live[i]->limit))
			live[i]->limit = 0;
	}
	audit_timer_start(&audit, audit_ms);
	while (nr) {
		uint64_t wake = rdtsc() + SLICE_MS * khz; /* a limit or an audit may be due then */
		bool idle = true;

		for (unsigned int i = 0; i < nr;) {
			struct vcpu *v = live[i]->vcpu;

			audit_turn(&audit);
			if (audit_violations(&audit)) /* isolation is broken: nobody goes on */
				vm_stop(live[i], VERDICT_STOPPED, "audit", 0);
			else if (vcpu_ready(v)) {
				idle = false;
				vcpu_run(v, nr == 1 && !audit_ms);
			}
			if (v->state != VCPU_STOPPED) {
				if (v->timer_deadline)
					wake = MIN(wake, v->timer_deadline);
				i++;
				continue;
			}
			report_vm(live[i]);
			live[i] = live[--nr];
			idle = false;
		}
		if (idle)
			idle_until(wake);
	}
	asi_exit();
	audit_timer_report(&audit);
	irq_restore(flags);
	return audit_violations(&audit);
}
