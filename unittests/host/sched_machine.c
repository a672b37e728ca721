/* SPDX-License-Identifier: MIT */
/* See unittests/host/sched_machine.h. */
#include "unittests/host/sched_machine.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/tlb.h"
#include "arch/tsc.h"
#include "lib/assert.h"
#include "mm/kmalloc.h"
#include "vmm/audit.h"
#include "vmm/idle.h"
#include "vmm/lapic.h"
#include "vmm/post.h"
#include "vmm/report.h"
#include "vmm/runqueue.h"
#include "vmm/schedule.h"

#define TICKS_KHZ 4000UL /* a slice is 40,000 ticks */

struct guest guests[VMS];
struct sched_counts counts;
static uint64_t in_core[CPUS]; /* atomic: by core; VM's number + 1 << 8, and threads that run it */
static uint32_t loaded_on[VMS][VCPUS_MAX]; /* atomic: CPU + 1 */
static bool typed;			   /* atomic: the console's interrupt is pending */
static bool kicked[CPUS];		   /* atomic: an interrupt is pending */
static uint64_t guarded; /* no atomics: written while the world stands, read by guests */
_Thread_local struct vcpu *vcpu_loaded;
char *fake_thread_pointer[CPUS];

static struct guest *guest_of(const struct vcpu *v)
{
	return (struct guest *)v->vm;
}

/* ---- the machine ---- */

uint64_t tsc_khz(void)
{
	return TICKS_KHZ;
}

void tlb_flush_all(void)
{
}

void cpu_serve(void)
{
}

void apic_send_interrupt(uint32_t apic_id, uint8_t vector)
{
	ASSERT(vector == APIC_VECTOR_KICK && apic_id != cpu_number);
	count(&counts.kicks);
	__atomic_store_n(&kicked[apic_id], true, __ATOMIC_SEQ_CST);
}

void machine_type(void)
{
	__atomic_store_n(&typed, true, __ATOMIC_SEQ_CST);
}

static bool is_interrupted(void)
{
	return __atomic_load_n(&kicked[cpu_number], __ATOMIC_SEQ_CST) ||
	       (cpu_number == 0 && __atomic_load_n(&typed, __ATOMIC_SEQ_CST));
}

void irq_window(void)
{
	if (cpu_number == 0 && __atomic_exchange_n(&typed, false, __ATOMIC_SEQ_CST))
		apic_console_input();
	if (__atomic_exchange_n(&kicked[cpu_number], false, __ATOMIC_SEQ_CST))
		cpu_kicked();
}

/* HLT ends with an interrupt; on the machine, the timer's is one. */
static void halt(uint64_t until)
{
	while (!is_interrupted() && rdtsc() < until)
		cpu_pause();
	irq_window();
}

void machine_start(void)
{
	for (uint32_t i = 0; i < CPUS; i++)
		cpus_add(i, &(struct topology){ .core = i % 2 });
}

void machine_reset(void)
{
	memset(kicked, 0, sizeof(kicked));
	for (unsigned int i = 0; i < CPUS; i++)
		fake_thread_pointer[i] = __builtin_thread_pointer();
}

void machine_cpu(uint32_t cpu)
{
	cpu_number = cpu;
	fake_thread_pointer[cpu] = __builtin_thread_pointer();
}

bool machine_is_empty(void)
{
	return !vcpu_loaded;
}

/* ---- what stands around the scheduler ---- */

int idle_init(uint64_t cpus, bool poll)
{
	(void)cpus, (void)poll;
	return 0;
}

void idle_until(uint64_t until)
{
	count(&counts.idles);
	while (rdtsc() < until && !sched_is_asked())
		halt(until);
}

void asi_exit(void)
{
}

void *kzalloc(size_t len, enum mem_class class, struct mem_owner *owner)
{
	(void)class, (void)owner;
	return calloc(1, len);
}

void kfree(void *p)
{
	free(p);
}

void audit_timer_start(struct audit_timer *t, uint64_t period_ms)
{
	*t = (struct audit_timer){ .period = period_ms * TICKS_KHZ, .next = rdtsc() };
}

bool audit_is_due(const struct audit_timer *t)
{
	return t->period && rdtsc() >= t->next;
}

uint64_t audit_timer_next(const struct audit_timer *t)
{
	return t->next;
}

/* The world stands: nobody is between two looks at what others may take away. */
void audit_turn(struct audit_timer *t)
{
	guarded++;
	counts.audits++;
	t->next = rdtsc() + t->period;
}

uint64_t audit_violations(const struct audit_timer *t)
{
	(void)t;
	return 0;
}

void audit_timer_report(const struct audit_timer *t)
{
	(void)t;
}

void vm_stop_all(const char *reason)
{
	panic("vm_stop_all: %s", reason);
}

/* As vmm/vm.c. */
void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code)
{
	__atomic_fetch_add(&((struct guest *)vm)->nr_stops, 1, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(&vm->stopping, true, __ATOMIC_SEQ_CST))
		return;
	vm->reason = reason;
	vm->code = code;
	__atomic_store_n(&vm->verdict, verdict, __ATOMIC_SEQ_CST);
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		post_look(vm, id);
}

/* At the end of a VM: it slept, all of it, with no message on the way, and there is one report. */
void report_vm(struct vm *vm)
{
	struct guest *g = (struct guest *)vm;

	ASSERT(__atomic_load_n(&g->nr_stops, __ATOMIC_RELAXED) == 1);
	ASSERT(__atomic_fetch_add(&g->nr_reports, 1, __ATOMIC_RELAXED) == 0);
	ASSERT(vm->verdict == VERDICT_STOPPED && !strcmp(vm->reason, "halted"));
	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		struct vcpu *v = &g->vcpus[id];

		ASSERT(v->state == VCPU_STOPPED && v->dormant && !v->timer_deadline);
		ASSERT(!post_is_pending(vm, id));
		/* NMIs and interrupts do not end the wait for a start-up IPI. */
		ASSERT(g->p[id].waits || (!v->events.nmi && !v->events.irq[0]));
		ASSERT(!loaded_on[g - guests][id]);
	}
	count(&counts.halted);
}

/* ---- vCPUs ---- */

void vcpu_put(void)
{
	struct vcpu *v = vcpu_loaded;

	if (!v)
		return;
	vcpu_loaded = NULL;
	ASSERT(__atomic_exchange_n(&loaded_on[guest_of(v) - guests][v->id], 0, __ATOMIC_SEQ_CST) ==
	       cpu_number + 1);
}

static void load(struct vcpu *v)
{
	if (vcpu_loaded == v)
		return;
	vcpu_put();
	ASSERT(!__atomic_exchange_n(&loaded_on[guest_of(v) - guests][v->id], cpu_number + 1,
				    __ATOMIC_SEQ_CST));
	vcpu_loaded = v;
}

void vcpu_check_timer(struct vcpu *v, uint64_t now)
{
	if (!v->timer_deadline || now < v->timer_deadline)
		return;
	v->timer_deadline = 0;
	v->events.irq[TICK_VECTOR / 64] |= BIT(TICK_VECTOR % 64);
	v->events.due = 0;
}

void lapic_accept(struct vcpu *v, uint8_t vector, bool level)
{
	ASSERT(!level);
	v->events.irq[vector / 64] |= BIT(vector % 64);
	v->events.due = 0;
}

void inject_nmi(struct vcpu *v)
{
	v->events.nmi = true;
	v->events.due = 0;
}

void vcpu_timer_changed(struct vcpu *v)
{
	v->events.due = 0;
}

bool inject_can_wake(const struct vcpu *v)
{
	return v->events.nmi || v->events.irq[0] || v->events.irq[1];
}

void vcpu_init(struct vcpu *v)
{
	ASSERT(v->id && vcpu_loaded == v);
	v->events = (struct events){ 0 };
	v->timer_deadline = 0;
	v->state = VCPU_WAITS_FOR_SIPI;
	guest_of(v)->p[v->id].waits = true;
}

void vcpu_startup(struct vcpu *v, uint8_t vector)
{
	ASSERT(vector == SIPI_VECTOR && vcpu_loaded == v);
	if (v->state != VCPU_WAITS_FOR_SIPI)
		return;
	v->state = VCPU_RUNNABLE;
	v->events.due = 0;
	guest_of(v)->p[v->id].waits = false;
}

/* What was typed interrupts the guest, as the virtio console does. Time passes until its mail is looked at: more is typed just then. */
static void take_input(struct vcpu *v)
{
	if (READ_ONCE(v->vm->typed.due) &&
	    __atomic_exchange_n(&v->vm->typed.due, false, __ATOMIC_SEQ_CST))
		post_irq(v->vm, BOOT_VCPU, TICK_VECTOR, false);
	if (READ_ONCE(v->vm->typed.may_wake))
		usleep(rdtsc() % 200);
}

static bool attend(struct vcpu *v)
{
	vcpu_check_timer(v, v->exit_tsc);
	take_input(v);
	post_collect(v);
	if (v->state != VCPU_RUNNABLE || v->exit_tsc >= v->slice_end || sched_is_asked() ||
	    v->request.number || READ_ONCE(v->vm->verdict) != VERDICT_NONE)
		return false;
	v->events.due = v->timer_deadline ? 0 : v->slice_end;
	return true;
}

/* Turns as vmm/run.c has them; an exit is a step of the program. */
static void turn(struct vcpu *v)
{
	v->events.due = 0;
	do {
		uint64_t seen = guarded;

		v->entry_tsc = v->entry_tsc ? v->entry_tsc : rdtsc();
		guest_of(v)->program(guest_of(v), v);
		if (rdtsc() % 16 == 0)
			cpu_pause(); /* an exit takes its time */
		ASSERT(guarded == seen);
		irq_window();
		v->exit_tsc = rdtsc();
	} while (v->exit_tsc < v->events.due || attend(v));
}

static void doze(struct vcpu *v)
{
	uint64_t until = vcpu_wake_time(v);

	count(&counts.dozes);
	rq_set_idle(cpu_number, true);
	if (!post_is_pending(v->vm, v->id) && !sched_is_asked())
		halt(until);
	rq_set_idle(cpu_number, false);
}

/* The rule of core scheduling, seen from the machine. */
static void core_begins(const struct vcpu *v)
{
	uint64_t *word = &in_core[bit_lowest(cpu_siblings(cpu_number))], number = v->vpid;
	uint64_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST), new;

	do {
		ASSERT(!(old & 0xff) || old >> 8 == number);
		new = number << 8 | ((old & 0xff) + 1);
	} while (!__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
}

static void core_ends(void)
{
	uint64_t *word = &in_core[bit_lowest(cpu_siblings(cpu_number))];

	ASSERT(__atomic_fetch_sub(word, 1, __ATOMIC_SEQ_CST) & 0xff);
}

void vcpu_run(struct vcpu *v, uint64_t end, bool alone)
{
	/* What senders go by. */
	ASSERT(v->post->cpu == cpu_number && v->post->running);
	load(v);
	core_begins(v);
	v->alone = alone;
	v->turn_end = end;
	for (;;) {
		take_input(v);
		if (vcpu_ready(v, v->turn_end))
			turn(v);
		else if (v->alone && v->state != VCPU_STOPPED)
			doze(v);
		if (!v->alone || v->state == VCPU_STOPPED || sched_is_asked() || v->request.number)
			break;
		v->turn_end = rdtsc() + sched_slice();
	}
	core_ends();
}

/* ---- guests ---- */

void guest_make(struct guest *g)
{
	ASSERT(!g->made);
	g->made = true;
	for (uint32_t id = 0; id < g->vm.nr_vcpus; id++) {
		struct vcpu *v = &g->vcpus[id];

		v->vm = &g->vm;
		v->id = id;
		v->vpid = (uint16_t)(g - guests + 1);
		v->state = id ? VCPU_WAITS_FOR_SIPI : VCPU_RUNNABLE;
		v->dormant = id;
		v->post = &g->vm.post[id];
		g->vm.vcpus[id] = v;
	}
	ASSERT(!sched_start(&g->vm));
}

bool guest_takes_interrupts(struct vcpu *v)
{
	bool any = inject_can_wake(v);

	v->events.nmi = false;
	memset(v->events.irq, 0, sizeof(v->events.irq));
	return any;
}

void guest_halts(struct vcpu *v)
{
	if (inject_can_wake(v))
		return;
	v->state = VCPU_HALTED;
	v->events.due = 0;
}
