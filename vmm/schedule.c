/* SPDX-License-Identifier: MIT */
/*
 * The loop that every CPU is in while guests run. It stands on the base stack, which is sensitive: each turn begins and
 * ends in the unrestricted space. A vCPU that is alone on its core does not come back here between its turns:
 * halts and ends of turns cost no crossing then.
 */
#include "vmm/schedule.h"
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/trace.h"
#include "arch/tsc.h"
#include "arch/world.h"
#include "asi/asi.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "vmm/abi.h"
#include "vmm/audit.h"
#include "vmm/idle.h"
#include "vmm/monitor.h"
#include "vmm/report.h"
#include "vmm/runqueue.h"
#include "vmm/vcpu.h"

struct sched_vcpu {
	struct sched_entity entity;
	struct vcpu *vcpu;
};

/* Set by others, and cleared when this CPU's scheduler has begun to look. */
static __percpu bool sched_asked;

static uint64_t cpus;	   /* that run guests */
static uint32_t vms_alive; /* the monitor counts as one */
static struct audit_timer audit;
static bool monitor_is_on, monitor_polls;
static struct sched_stats stats[CPUS_MAX];
static uint64_t siblings[CPUS_MAX];	   /* of each CPU that runs guests, without itself */
static const struct vm *in_turn[CPUS_MAX]; /* whose turn it is, for check_siblings() */
static uint64_t last_exits
	[CPUS_MAX]; /* TSC of the last exit of the vCPU that ran last; 0: the CPU has rested since */

static struct vcpu *vcpu_of(const struct sched_entity *e)
{
	return container_of(e, struct sched_vcpu, entity)->vcpu;
}

uint64_t sched_slice(void)
{
	return SLICE_MS * tsc_khz();
}

bool sched_is_asked(void)
{
	return READ_ONCE(this_cpu(sched_asked));
}

void sched_ask(uint32_t cpu)
{
	__atomic_store_n(percpu_of(cpu, sched_asked), true, __ATOMIC_SEQ_CST);
}

void sched_look(void)
{
	struct vcpu *v = vcpu_here();

	if (v)
		v->events.due = 0;
}

void cpu_kicked(void)
{
	sched_look();
	world_yield();
}

static void ask_and_kick(uint32_t cpu)
{
	sched_ask(cpu);
	if (cpu != this_cpu(cpu_number))
		cpu_kick(cpu);
}

/* This CPU's scheduler will look, and there finds what it is. */
void apic_console_input(void)
{
	sched_ask(this_cpu(cpu_number));
	sched_look();
}

int sched_init(uint64_t set, uint64_t audit_ms, bool poll)
{
	cpus = set;
	for_each_cpu (cpu, set)
		siblings[cpu] = cpu_siblings(cpu) & set & ~BIT(cpu);
	vms_alive = 0;
	rq_init(sched_slice(), set);
	audit_timer_start(&audit, audit_ms);
	return idle_init(set, poll);
}

/* ---- VMs that begin and end ---- */

static int add_vcpu(struct vcpu *v)
{
	struct sched_vcpu *s = kzalloc(sizeof(*s), SENSITIVE, NULL);

	if (!s)
		return -ENOMEM;
	s->vcpu = v;
	s->entity.vm = v->vm;
	s->entity.wake = v->state == VCPU_RUNNABLE ? 0 : RQ_NEVER;
	v->sched = &s->entity;
	return 0;
}

static void free_entity(struct vcpu *v)
{
	kfree(v->sched ? container_of(v->sched, struct sched_vcpu, entity) : NULL);
	v->sched = NULL;
}

int sched_start(struct vm *vm)
{
	int err = 0;

	for (uint32_t id = 0; !err && id < vm->nr_vcpus; id++)
		err = add_vcpu(vm->vcpus[id]);
	if (err) {
		for (uint32_t id = 0; id < vm->nr_vcpus; id++)
			free_entity(vm->vcpus[id]);
		return err;
	}
	/* A limit beyond what the TSC counts is none. */
	if (__builtin_mul_overflow(vm->options.limit_ms, tsc_khz(), &vm->limit))
		vm->limit = 0;
	vm->awake = AWAKE_ONE;
	vm->nr_in_queues = vm->nr_vcpus;
	__atomic_fetch_add(&vms_alive, 1, __ATOMIC_SEQ_CST);
	/* Once it is there it may run on any CPU, which changes all of this. */
	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		uint32_t core = rq_choose();

		vm->post[id].cpu = core;
		rq_add(vm->vcpus[id]->sched, core);
		ask_and_kick(core);
	}
	return 0;
}

bool sched_has_ended(const struct vm *vm)
{
	return __atomic_load_n(&vm->has_ended, __ATOMIC_ACQUIRE);
}

static void end_one(void)
{
	if (__atomic_sub_fetch(&vms_alive, 1, __ATOMIC_SEQ_CST) == 0)
		for_each_cpu (cpu, cpus)
			ask_and_kick(cpu);
}

/* The last vCPU of a VM to end reports it; with the last VM, all CPUs go home. */
static void end_vcpu(struct vcpu *v)
{
	struct vm *vm = v->vm;

	vcpu_put();
	rq_remove(v->sched);
	free_entity(v);
	if (__atomic_sub_fetch(&vm->nr_in_queues, 1, __ATOMIC_SEQ_CST))
		return;
	report_vm(vm);
	__atomic_store_n(&vm->has_ended, true, __ATOMIC_RELEASE);
	end_one();
}

void sched_monitor_begin(bool polls)
{
	__atomic_fetch_add(&vms_alive, 1, __ATOMIC_SEQ_CST);
	monitor_is_on = true;
	monitor_polls = polls;
}

void sched_monitor_end(void)
{
	monitor_is_on = monitor_polls = false;
	end_one();
}

/* ---- turns ---- */

/* They come back to the loop once, and find that they are not alone: a turn that is not shared has no end. */
void sched_crowded(uint32_t core)
{
	for_each_cpu (cpu, cpu_siblings(core) & cpus)
		if (cpu != this_cpu(cpu_number))
			ask_and_kick(cpu);
}

/* Mail, input that the first one is to look after, or the end of its VM: read without a lock, by whoever looks for work. */
bool sched_may_wake(const struct sched_entity *e)
{
	const struct vcpu *v = vcpu_of(e);

	return post_is_pending(v->vm, v->id) || READ_ONCE(v->vm->verdict) != VERDICT_NONE ||
	       (v->id == BOOT_VCPU && READ_ONCE(v->vm->typed.due));
}

/* What a privileged guest has asked for; false if it has to be asked again. */
static bool answer(struct vcpu *v)
{
	int64_t result;

	if (!v->request.number)
		return true;
	result = control_vm(&v->request);
	if (result == -EAGAIN)
		return false;
	v->regs[RAX] = (uint64_t)result;
	v->request.number = 0;
	return true;
}

static void note_switch(struct sched_stats *s, const struct vcpu *v, uint64_t last_exit)
{
	uint64_t ticks = v->entry_tsc - last_exit;

	s->turns++;
	if (!last_exit || !v->entry_tsc)
		return; /* it has not run, or nobody before it */
	s->switch_min = s->switches ? MIN(s->switch_min, ticks) : ticks;
	s->switch_max = MAX(s->switch_max, ticks);
	s->switch_sum += ticks;
	s->switches++;
}

/*
 * What has come since the guest halted is in the vCPU by now, and no longer in the post: it is looked at while it is
 * loaded. Who sleeps is looked at once more when others have seen that it no longer runs: what they have posted before, without
 * asking this CPU, is found now (vmm/post.c).
 */
static void put_back(struct vcpu *v, uint32_t cpu, uint64_t ticks)
{
	bool sleeps = v->state != VCPU_RUNNABLE && !v->request.number && !vcpu_wake(v, rdtsc());
	bool keep = !sleeps && rq_is_alone(v->sched); /* nobody else wants it, nor this CPU */

	if (!keep)
		vcpu_put();
	WRITE_ONCE(v->post->running, false);
	rq_put(v->sched, cpu, ticks, sleeps ? SCHED_SLEEPING : SCHED_WAITING,
	       sleeps ? vcpu_wake_time(v) : 0, keep ? cpu : RQ_NO_CPU);
}

/*
 * Core scheduling, looked at from outside of the run queues: the turn is published before siblings' are read, so of two
 * that overlap the later one sees the other.
 */
static void check_siblings(struct sched_stats *s, const struct vm *vm, uint32_t cpu)
{
	__atomic_store_n(&in_turn[cpu], vm, __ATOMIC_SEQ_CST);
	for_each_cpu (other, siblings[cpu]) {
		const struct vm *its = __atomic_load_n(&in_turn[other], __ATOMIC_SEQ_CST);

		s->beside_own += its == vm;
		s->beside_other += its && its != vm;
	}
}

/* A vCPU in an event of the trace. */
static uint32_t trace_name(const struct vcpu *v)
{
	return (uint32_t)v->vm->owner->id << 16 | v->id;
}

/* What the boot processor has to come back for, between two turns of a vCPU that is alone. */
static bool has_duties(uint32_t cpu)
{
	return cpu == 0 && (audit.period || monitor_polls);
}

static void run(struct sched_entity *e, uint32_t cpu, uint64_t end)
{
	struct vcpu *v = vcpu_of(e), *before = vcpu_here();
	struct sched_stats *s = &stats[cpu];
	uint64_t begin = rdtsc();

	WRITE_ONCE(v->post->cpu, cpu);
	__atomic_store_n(&v->post->running, true, __ATOMIC_SEQ_CST);
	if (answer(v)) {
		trace_note(TRACE_TURN, trace_name(v));
		check_siblings(s, v->vm, cpu);
		v->entry_tsc = 0;
		vcpu_run(v, end, rq_is_alone(e) && !has_duties(cpu));
		note_switch(s, v, before == v ? 0 : last_exits[cpu]);
		last_exits[cpu] = v->exit_tsc;
		__atomic_store_n(&in_turn[cpu], NULL, __ATOMIC_RELEASE);
		trace_note(TRACE_REST, trace_name(v));
	}
	if (v->state == VCPU_STOPPED)
		end_vcpu(v);
	else
		put_back(v, cpu, rdtsc() - begin);
}

/* Somebody who waits here, and a CPU that has nothing to do. */
static __noinline void offer(uint32_t cpu)
{
	uint32_t idle = rq_idle_cpu(cpu);

	if (idle != RQ_NO_CPU)
		ask_and_kick(idle);
}

static void rest(uint32_t cpu)
{
	uint64_t begin = rdtsc(), until;

	vcpu_put();
	last_exits[cpu] = 0;
	rq_set_idle(cpu, true);
	until = rq_next_wake(cpu);
	if (audit.period && cpu == 0)
		until = MIN(until, audit_timer_next(&audit));
	if (cpu == 0 && monitor_polls)
		until = MIN(until, begin + sched_slice());
	if (!rq_has_work(cpu, begin))
		idle_until(until);
	rq_set_idle(cpu, false);
	stats[cpu].idle_ticks += rdtsc() - begin;
}

/* A step of an audit that is under way, or due: isolation is checked, and if it is broken nobody goes on. */
static void audit_between_turns(void)
{
	if (!audit_is_due(&audit))
		return;
	world_stop();
	audit_turn(&audit);
	if (audit_violations(&audit))
		vm_stop_all("audit"); /* no other CPU makes or destroys one now */
	world_resume();
}

static __noinline void boot_processor_duties(void)
{
	if (audit.period)
		audit_between_turns();
	if (monitor_is_on)
		monitor_turn();
}

/* Whatever this CPU is asked from here on ends its rest; what it was asked before is looked at now. */
static void begin_to_look(void)
{
	irq_window(); /* others may wait for this CPU, whatever it finds to do or does not */
	WRITE_ONCE(this_cpu(sched_asked), false);
	memory_fence();
}

void sched_run(void)
{
	uint32_t cpu = this_cpu(cpu_number);
	struct sched_entity *e;
	uint64_t end;

	ASSERT(!irqs_enabled());
	for (;;) {
		begin_to_look();
		if (!__atomic_load_n(&vms_alive, __ATOMIC_SEQ_CST))
			break;
		if (cpu == 0 && unlikely(audit.period || monitor_is_on))
			boot_processor_duties();
		e = rq_pick(cpu, rdtsc(), &end);
		if (!e) {
			rest(cpu);
			continue;
		}
		if (unlikely(rq_any_idle()))
			offer(cpu);
		run(e, cpu, end);
	}
	vcpu_put();
	asi_exit();
}

uint64_t sched_report_audits(void)
{
	audit_timer_report(&audit);
	return audit_violations(&audit);
}

const struct sched_stats *sched_stats_of(uint32_t cpu)
{
	return &stats[cpu];
}
