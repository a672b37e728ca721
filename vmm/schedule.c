/* SPDX-License-Identifier: MIT */
/*
 * Who runs next: every VM in turn, on one CPU. With one VM left, nothing here touches sensitive
 * memory (this stack is nonsensitive, the VM is LOCAL): halts and turns cost no crossing.
 */
#include "arch/insn.h"
#include "arch/tsc.h"
#include "asi/asi.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "vmm/audit.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define SLICE_MS 10

/* One turn of @vm, or nothing if it is halted and its timer has not run out. */
static void vm_turn(struct vm *vm, uint64_t slice)
{
	struct vcpu *v = vm->vcpu;
	uint64_t now = rdtsc(), end = now + slice;

	if (vm->limit) {
		if (v->guest_ticks >= vm->limit) {
			vm_stop(vm, VERDICT_STOPPED, "time-limit", 0);
			return;
		}
		end = MIN(end, now + (vm->limit - v->guest_ticks));
	}
	if (v->state == VCPU_HALTED) {
		if (v->timer_deadline && now < v->timer_deadline) {
			/* A sleep counts no guest time; one beyond the limit would never end. */
			if (vm->limit && now - v->exit_tsc >= vm->limit)
				vm_stop(vm, VERDICT_STOPPED, "time-limit", 0);
			cpu_pause();
			return;
		}
		/* Only its timer can wake a guest that has pended nothing for itself. */
		if (!vcpu_wake(v)) {
			vm_stop(vm, VERDICT_STOPPED, "halted", 0);
			return;
		}
	}
	vcpu_run(v, end);
}

uint64_t vm_run_all(struct vm **vms, unsigned int nr, uint64_t audit_ms)
{
	uint64_t flags = irq_save(), khz = tsc_khz();
	struct vm *live[VMS_MAX]; /* @vms may be sensitive */
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
		for (unsigned int i = 0; i < nr;) {
			/* The next one's memory, its stack above all, is not mapped in this space. */
			if (nr > 1)
				asi_exit();
			audit_turn(&audit);
			if (audit_violations(&audit)) /* isolation is broken: nobody goes on */
				vm_stop(live[i], VERDICT_STOPPED, "audit", 0);
			else
				vm_turn(live[i], SLICE_MS * khz);
			if (live[i]->vcpu->state != VCPU_STOPPED) {
				i++;
				continue;
			}
			asi_exit();
			report_vm(live[i]);
			live[i] = live[--nr];
		}
	}
	asi_exit();
	audit_timer_report(&audit);
	irq_restore(flags);
	return audit_violations(&audit);
}
