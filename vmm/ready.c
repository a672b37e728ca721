/* SPDX-License-Identifier: MIT */
/* Whether a vCPU has something to run for, how long it sleeps otherwise, and when its VM will never wake again. */
#include "arch/insn.h"
#include "lib/bitops.h"
#include "vmm/post.h"
#include "vmm/runqueue.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static void count_in(struct vcpu *v)
{
	v->dormant = false;
	__atomic_fetch_add(&v->vm->awake, AWAKE_CAME | AWAKE_ONE, __ATOMIC_SEQ_CST);
}

/*
 * A vCPU without a timer sleeps until others of its VM send it something. When all do that, none ever will: then the VM
 * has come to its end. A sender that is the last one awake has posted before it counts itself out, and whoever takes
 * mail counts itself in before it takes it. So the last one looks for mail, and whether nobody has come
 * meanwhile: if somebody has, what was seen of the mail may be what he has left of it, and he will look himself.
 * Where somebody may type to it, the VM waits for that.
 */
static void count_out(struct vcpu *v)
{
	struct vm *vm = v->vm;
	uint64_t awake = __atomic_sub_fetch(&vm->awake, AWAKE_ONE, __ATOMIC_SEQ_CST);

	v->dormant = true;
	if (!(awake & AWAKE_MASK) && !post_any_pending(vm) && !READ_ONCE(vm->typed.may_wake) &&
	    __atomic_load_n(&vm->awake, __ATOMIC_SEQ_CST) == awake)
		vm_stop(vm, VERDICT_STOPPED, "halted", 0);
}

static void count_awake(struct vcpu *v)
{
	bool dormant = v->state != VCPU_RUNNABLE && !v->timer_deadline;

	if (dormant == v->dormant)
		return;
	if (dormant)
		count_out(v);
	else
		count_in(v);
}

static void take_mail(struct vcpu *v)
{
	if (!post_is_pending(v->vm, v->id))
		return;
	if (v->dormant)
		count_in(v);
	post_collect(v);
}

/* A sleep counts no guest time; one beyond the limit would never end. */
static bool sleeps_too_long(const struct vcpu *v, uint64_t now)
{
	return v->vm->limit && v->timer_deadline && now - v->exit_tsc >= v->vm->limit;
}

static __noinline bool wake(struct vcpu *v, uint64_t now)
{
	vcpu_check_timer(v, now);
	take_mail(v);
	if (v->state == VCPU_HALTED && inject_can_wake(v))
		v->state = VCPU_RUNNABLE;
	count_awake(v);
	return v->state == VCPU_RUNNABLE;
}

bool vcpu_wake(struct vcpu *v, uint64_t now)
{
	/* Most come back from the end of a turn. */
	if (likely(v->state == VCPU_RUNNABLE && !v->dormant && !v->timer_deadline &&
		   !READ_ONCE(v->post->pending)))
		return true;
	return wake(v, now);
}

static __noinline void stop_at_limit(struct vm *vm)
{
	vm_stop(vm, VERDICT_STOPPED, "time-limit", 0);
}

bool vcpu_ready(struct vcpu *v, uint64_t end)
{
	struct vm *vm = v->vm;
	uint64_t now = rdtsc();

	if (vm->limit && v->guest_ticks >= vm->limit)
		stop_at_limit(vm);
	if (READ_ONCE(vm->verdict) == VERDICT_NONE && !vcpu_wake(v, now) && sleeps_too_long(v, now))
		stop_at_limit(vm);
	if (READ_ONCE(vm->verdict) != VERDICT_NONE)
		v->state = VCPU_STOPPED;
	if (v->state != VCPU_RUNNABLE)
		return false;
	v->slice_end = vm->limit ? MIN(end, now + (vm->limit - v->guest_ticks)) : end;
	return true;
}

uint64_t vcpu_wake_time(const struct vcpu *v)
{
	if (!v->timer_deadline)
		return RQ_NEVER;
	return v->vm->limit ? MIN(v->timer_deadline, v->exit_tsc + v->vm->limit)
			    : v->timer_deadline;
}
