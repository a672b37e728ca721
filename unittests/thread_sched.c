/* SPDX-License-Identifier: MIT */
/*
 * vmm/schedule.c, runqueue.c, post.c, ready.c and arch/x86/world.c, cpus.c as they are, on several CPUs (threads), under
 * ThreadSanitizer. Guests are programs of the test's own: they send each other interrupts, NMIs, INIT and start-up
 * IPIs, set timers, halt, and make further VMs; now and then the world is stopped.
 *
 * Nobody may sleep over a message: a VM ends when all of it sleeps for good, and not before, which is looked into at its
 * end; and what is never woken ends the test by its patience. The threads of a core run one VM at a time.
 *
 * COUNT=n says how many interrupts go to and fro, SEED=n repeats what guests do (not how CPUs interleave).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/tlb.h"
#include "arch/tsc.h"
#include "arch/world.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "unittests/seed.h"
#include "vmm/abi.h"
#include "vmm/audit.h"
#include "vmm/idle.h"
#include "vmm/lapic.h"
#include "vmm/post.h"
#include "vmm/report.h"
#include "vmm/runqueue.h"
#include "vmm/schedule.h"
#include "vmm/turnlog.h"
#include "vmm/vcpu.h"

#define CPUS	    4 /* 0 and 2 are threads of a core, 1 and 3 of the other */
#define CORES	    3UL
#define THREADS	    5UL
#define VMS	    10
#define PATIENCE_US 40000000 /* nothing takes so long: somebody sleeps for ever */
#define TICKS_KHZ   4000UL    /* a slice is 40,000 ticks */
#define VECTOR	    0x31
#define TICK_VECTOR 0x40

struct guest {
	struct vm vm;
	struct vcpu vcpus[VCPUS_MAX];
	void (*program)(struct guest *g, struct vcpu *v);
	struct vcpu_program {
		uint64_t random;
		uint32_t steps; /* left to do; then it answers no more, and halts */
		uint64_t rounds;
		bool waits; /* for a start-up IPI */
	} p[VCPUS_MAX];
	bool made;
	uint32_t nr_stops, nr_reports; /* atomic; calls of vm_stop(), and reports */
};

static struct guest guests[VMS];
static uint32_t nr_made, nr_given; /* guests that run now or have; and that the scenario has */
static uint64_t in_core[CPUS]; /* atomic: by core; VM's number + 1 << 8, and threads that run it */
static uint32_t loaded_on[VMS][VCPUS_MAX]; /* atomic: CPU + 1 */
static bool kicked[CPUS];		   /* atomic: an interrupt is pending */
static uint64_t audits, guarded; /* no atomics: written while the world stands, read by guests */
static uint64_t nr_messages, nr_kicks, nr_dozes, nr_idles, nr_halted; /* atomic */
static uint64_t rounds_wanted;
static _Thread_local struct vcpu *loaded;
char *fake_thread_pointer[CPUS];

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:history_size=7";
}

static uint64_t below(struct vcpu_program *p, uint64_t limit)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (p->random >> 8) % limit;
}

static struct guest *guest_of(const struct vcpu *v)
{
	return (struct guest *)v->vm;
}

static void count(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
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
	count(&nr_kicks);
	__atomic_store_n(&kicked[apic_id], true, __ATOMIC_SEQ_CST);
}

void irq_window(void)
{
	if (__atomic_exchange_n(&kicked[cpu_number], false, __ATOMIC_SEQ_CST))
		cpu_kicked();
}

/* HLT ends with an interrupt; on the machine, the timer's is one. */
static void halt(uint64_t until)
{
	while (!__atomic_load_n(&kicked[cpu_number], __ATOMIC_SEQ_CST) && rdtsc() < until)
		cpu_pause();
	irq_window();
}

/* ---- what stands around the scheduler ---- */

int idle_init(uint64_t cpus, bool poll)
{
	(void)cpus, (void)poll;
	return 0;
}

void idle_until(uint64_t until)
{
	count(&nr_idles);
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

void turnlog_note(uint32_t cpu, const struct vcpu *v, uint64_t begin, uint64_t end)
{
	ASSERT(cpu == cpu_number && v && begin <= end);
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
	audits++;
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
	count(&nr_halted);
}

/* ---- vCPUs ---- */

void vcpu_put(void)
{
	struct vcpu *v = loaded;

	if (!v)
		return;
	loaded = NULL;
	ASSERT(__atomic_exchange_n(&loaded_on[guest_of(v) - guests][v->id], 0, __ATOMIC_SEQ_CST) ==
	       cpu_number + 1);
}

static void load(struct vcpu *v)
{
	if (loaded == v)
		return;
	vcpu_put();
	ASSERT(!__atomic_exchange_n(&loaded_on[guest_of(v) - guests][v->id], cpu_number + 1,
				    __ATOMIC_SEQ_CST));
	loaded = v;
}

struct vcpu *vcpu_here(void)
{
	return loaded;
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

bool inject_can_wake(const struct vcpu *v)
{
	return v->events.nmi || v->events.irq[0] || v->events.irq[1];
}

void vcpu_init(struct vcpu *v)
{
	ASSERT(v->id && loaded == v);
	v->events = (struct events){ 0 };
	v->timer_deadline = 0;
	v->state = VCPU_WAITS_FOR_SIPI;
	guest_of(v)->p[v->id].waits = true;
}

void vcpu_startup(struct vcpu *v, uint8_t vector)
{
	ASSERT(vector == 8 && loaded == v);
	if (v->state != VCPU_WAITS_FOR_SIPI)
		return;
	v->state = VCPU_RUNNABLE;
	v->events.due = 0;
	guest_of(v)->p[v->id].waits = false;
}

static bool attend(struct vcpu *v)
{
	vcpu_check_timer(v, v->exit_tsc);
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
		ASSERT(guarded == seen);
		irq_window();
		v->exit_tsc = rdtsc();
	} while (v->exit_tsc < v->events.due || attend(v));
}

static void doze(struct vcpu *v)
{
	uint64_t until = vcpu_wake_time(v);

	count(&nr_dozes);
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
	load(v);
	core_begins(v);
	v->alone = alone;
	v->turn_end = end;
	for (;;) {
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

static void make(struct guest *g)
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

/* A guest asks for the next one; now and then nobody has time for it. */
int64_t control_vm(const struct control_request *r)
{
	static uint32_t busy, turned_away;
	int64_t result = HC_EINVAL;

	ASSERT(r->number == HC_VM_CREATE);
	if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	if (turned_away++ % 3 == 0) {
		result = -EAGAIN;
	} else if (nr_made < nr_given) {
		make(&guests[nr_made]);
		__atomic_store_n(&nr_made, nr_made + 1, __ATOMIC_RELAXED);
		result = 0;
	}
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	return result;
}

static bool take_interrupts(struct vcpu *v)
{
	bool any = inject_can_wake(v);

	v->events.nmi = false;
	memset(v->events.irq, 0, sizeof(v->events.irq));
	return any;
}

static void guest_halts(struct vcpu *v)
{
	if (inject_can_wake(v))
		return;
	v->state = VCPU_HALTED;
	v->events.due = 0;
}

/* An interrupt comes from the other one for each that it got: one that is lost is the last. */
static void ping(struct guest *g, struct vcpu *v)
{
	struct vcpu_program *p = &g->p[v->id];

	if (v->id == 0 && p->steps) {
		p->steps = 0;
		post_sipi(&g->vm, 1, 8);
	} else if (!take_interrupts(v)) {
		guest_halts(v);
		return;
	}
	if (p->rounds == rounds_wanted)
		return;
	p->rounds++;
	count(&nr_messages);
	post_irq(&g->vm, !v->id, VECTOR, false);
}

static void send(struct guest *g, struct vcpu *v, struct vcpu_program *p)
{
	uint32_t to = (uint32_t)below(p, g->vm.nr_vcpus);

	count(&nr_messages);
	switch (below(p, 6)) {
	case 0:
		post_nmi(&g->vm, to);
		break;
	case 1:
		if (to && to != v->id)
			post_init(&g->vm, to);
		break;
	case 2:
	case 3:
		if (to)
			post_sipi(&g->vm, to, 8);
		break;
	default:
		post_irq(&g->vm, to, VECTOR, false);
	}
}

/* One does not sleep for good before all guests have been made. */
static bool is_maker(const struct guest *g, const struct vcpu *v)
{
	return g == &guests[0] && v->id == 0;
}

/* Anything, in any order, for so many steps. */
static void wander(struct guest *g, struct vcpu *v)
{
	struct vcpu_program *p = &g->p[v->id];

	take_interrupts(v);
	if (!p->steps) {
		guest_halts(v);
		return;
	}
	p->steps--;
	switch (below(p, 12)) {
	case 0:
	case 1:
	case 2:
		send(g, v, p);
		break;
	case 3:
		if (!is_maker(g, v) && below(p, 8) == 0) {
			guest_halts(v);
			break;
		}
		/* fall through */
	case 4:
		v->timer_deadline = rdtsc() + below(p, 20000);
		v->events.due = 0;
		guest_halts(v);
		break;
	case 6:
		if (below(p, 8) == 0) {
			v->request = (struct control_request){ HC_VM_CREATE, 0 };
			v->events.due = 0;
		}
		break;
	default:
		break;
	}
	if (!p->steps && is_maker(g, v) && __atomic_load_n(&nr_made, __ATOMIC_RELAXED) < nr_given) {
		p->steps = 20;
		v->request = (struct control_request){ HC_VM_CREATE, 0 };
		v->events.due = 0;
	}
}

/* Never halts while there is another: alone on its core it would never come back by itself. */
static void spin(struct guest *g, struct vcpu *v)
{
	if (__atomic_load_n(&nr_halted, __ATOMIC_RELAXED) + g->p[0].steps < nr_given)
		cpu_pause();
	else
		guest_halts(v);
}

/* ---- the run ---- */

static pthread_barrier_t all_here;

static void *run_cpu(void *arg)
{
	cpu_number = (uint32_t)(uint64_t)arg;
	fake_thread_pointer[cpu_number] = __builtin_thread_pointer();
	pthread_barrier_wait(&all_here);
	if (cpu_number)
		cpus_join();
	sched_run();
	if (cpu_number)
		cpus_leave();
	ASSERT(!loaded);
	pthread_barrier_wait(&all_here); /* until then others may ask by fake_thread_pointer */
	return NULL;
}

/* Guests that begin at once, @now of them; the rest when one of them asks. */
static void run_all(const char *what, uint64_t cpus, uint32_t now, uint64_t audit_ms)
{
	pthread_t thread[CPUS];

	nr_halted = 0;
	nr_made = now;
	memset(kicked, 0, sizeof(kicked));
	pthread_barrier_init(&all_here, NULL, bits_count(cpus));
	/* sched_start() asks CPUs, which have no areas before they run: theirs are this thread's until then. */
	for (unsigned int i = 0; i < CPUS; i++)
		fake_thread_pointer[i] = __builtin_thread_pointer();
	ASSERT(!sched_init(cpus, audit_ms, false));
	for (uint32_t i = 0; i < now; i++)
		make(&guests[i]);
	memset(kicked, 0, sizeof(kicked));
	for_each_cpu (cpu, cpus)
		ASSERT(!pthread_create(&thread[cpu], NULL, run_cpu, (void *)(uint64_t)cpu));
	for_each_cpu (cpu, cpus)
		pthread_join(thread[cpu], NULL);
	ASSERT(nr_halted == nr_given && nr_made == nr_given);
	for (uint32_t i = 0; i < nr_given; i++)
		ASSERT(sched_has_ended(&guests[i].vm) && guests[i].nr_reports == 1);
	printf("%-25s CPUs 0x%lx, %2u VMs: messages %lu, kicks %lu, dozes %lu, rests %lu, audits "
	       "%lu\n",
	       what, cpus, nr_given, nr_messages, nr_kicks, nr_dozes, nr_idles, audits);
	fflush(stdout);
	nr_messages = nr_kicks = nr_dozes = nr_idles = audits = 0;
}

static void give(void (*program)(struct guest *, struct vcpu *), uint32_t vcpus, uint32_t steps)
{
	struct guest *g = &guests[nr_given++];

	*g = (struct guest){ .program = program, .vm.nr_vcpus = vcpus };
	for (uint32_t id = 0; id < vcpus; id++)
		g->p[id] = (struct vcpu_program){ .random = 1 + seed_below(~0UL),
						  .steps = steps,
						  .waits = id };
}

/* To and fro between two vCPUs: dozing, resting on one CPU, and beside others that want the CPU. */
static void run_pings(uint64_t rounds)
{
	static const struct {
		const char *what;
		uint64_t cpus;
		unsigned int spinners;
		uint64_t share; /* of the rounds, in percent */
	} cases[] = {
		{ "on two CPUs, dozing", CORES, 0, 60 },
		{ "on two threads", THREADS, 0, 15 },
		{ "on one CPU", 1, 0, 15 },
		{ "on one CPU, not alone", 1, 1, 5 },
		{ "on two CPUs, not alone", CORES, 2, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		nr_given = 0;
		rounds_wanted = rounds * cases[i].share / 100 / 2;
		give(ping, 2, 1);
		for (unsigned int k = 0; k < cases[i].spinners; k++)
			give(spin, 1, cases[i].spinners);
		run_all(cases[i].what, cases[i].cpus, nr_given, 0);
		ASSERT(guests[0].p[0].rounds == rounds_wanted &&
		       guests[0].p[1].rounds == rounds_wanted);
	}
}

static void run_wander(void)
{
	static const uint64_t cpus[] = { 1, CORES, THREADS, BITS(CPUS - 1, 0) };
	unsigned int spinners = (unsigned int)seed_below(3);

	nr_given = 0;
	while (nr_given + spinners < 1 + seed_below(VMS))
		give(wander, 1 + (uint32_t)seed_below(4), 100 + (uint32_t)seed_below(2000));
	for (unsigned int k = 0; k < spinners && nr_given; k++)
		give(spin, 1, spinners);
	if (nr_given)
		run_all("anything", cpus[seed_below(ARRAY_SIZE(cpus))],
			1 + (uint32_t)seed_below(nr_given), seed_below(2));
}

static void *watch(void *arg)
{
	(void)arg;
	usleep(PATIENCE_US);
	fputs("no end\n", stderr);
	abort();
}

int main(void)
{
	const char *count_given = getenv("COUNT");
	uint64_t rounds = count_given ? strtoull(count_given, NULL, 0) : 100000;
	pthread_t watcher;

	seed_start((uint64_t)time(NULL));
	for (uint32_t i = 0; i < CPUS; i++)
		cpus_add(i, &(struct topology){ .core = i % 2 });
	ASSERT(!pthread_create(&watcher, NULL, watch, NULL) && !pthread_detach(watcher));
	run_pings(rounds);
	for (uint64_t n = 0; n < 2 + rounds / 10000; n++)
		run_wander();
	return 0;
}
