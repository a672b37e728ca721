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
#include <time.h>
#include <unistd.h>
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "unittests/host/sched_machine.h"
#include "unittests/seed.h"
#include "vmm/abi.h"
#include "vmm/monitor.h"
#include "vmm/post.h"
#include "vmm/schedule.h"

static struct mem_owner owner = { .id = 1 }; /* of all: only the trace names it */

#define PATIENCE_S 60 /* no message for so long: somebody sleeps for ever */
#define VECTOR	   0x31

static uint32_t nr_made, nr_given; /* guests that run now or have; and that the scenario has */
static uint64_t rounds_wanted;
static uint64_t beside_own; /* turns in which siblings ran the same VM, of all runs */
static uint64_t progress;   /* atomic: messages of all runs, and VMs */

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

/* ---- guests ---- */

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
		guest_make(&guests[nr_made]);
		__atomic_store_n(&nr_made, nr_made + 1, __ATOMIC_RELAXED);
		result = 0;
	}
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	return result;
}

/* An interrupt comes from the other one for each that it got: one that is lost is the last. */
static void ping(struct guest *g, struct vcpu *v)
{
	struct vcpu_program *p = &g->p[v->id];

	if (v->id == 0 && p->steps) {
		if (--p->steps)
			return; /* the others shall sleep by then */
		post_sipi(&g->vm, 1, SIPI_VECTOR);
	} else if (!guest_takes_interrupts(v)) {
		guest_halts(v);
		return;
	}
	if (p->rounds == rounds_wanted)
		return;
	p->rounds++;
	count(&counts.messages);
	count(&progress);
	post_irq(&g->vm, !v->id, VECTOR, false);
}

static void send(struct guest *g, struct vcpu *v, struct vcpu_program *p)
{
	uint32_t to = (uint32_t)below(p, g->vm.nr_vcpus);

	count(&counts.messages);
	count(&progress);
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
			post_sipi(&g->vm, to, SIPI_VECTOR);
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

	guest_takes_interrupts(v);
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
	if (__atomic_load_n(&counts.halted, __ATOMIC_RELAXED) + g->p[0].steps < nr_given)
		cpu_pause();
	else
		guest_halts(v);
}

/* Asks until all have been made; then as spin(). Its core never rests. */
static void make_all(struct guest *g, struct vcpu *v)
{
	if (__atomic_load_n(&nr_made, __ATOMIC_RELAXED) == nr_given) {
		spin(g, v);
		return;
	}
	v->request = (struct control_request){ HC_VM_CREATE, 0 };
	v->events.due = 0;
}

/* ---- somebody types ---- */

/* What has been typed and taken, of the run; keys_wanted: how much ends the monitor, 0: there is none. */
static uint64_t keys_wanted, keys_typed, keys_taken;
static bool keys_interrupt;
static struct guest *listener; /* whose console they go to; NULL: nobody's */
static uint64_t keys_heard;    /* there */

/* The last one ends it: nothing can wake it any more. */
static void pass_on(uint64_t key)
{
	struct typed *t = &listener->vm.typed;

	if (key == keys_wanted) {
		WRITE_ONCE(t->may_wake, false);
		post_irq(&listener->vm, BOOT_VCPU, VECTOR, false);
		return;
	}
	__atomic_store_n(&t->due, true, __ATOMIC_SEQ_CST);
	post_platform(&listener->vm, BOOT_VCPU);
}

void monitor_turn(void)
{
	uint64_t key = __atomic_load_n(&keys_typed, __ATOMIC_SEQ_CST);

	ASSERT(cpu_number == 0 && keys_wanted);
	if (listener && key != keys_taken)
		pass_on(key);
	__atomic_store_n(&keys_taken, key, __ATOMIC_SEQ_CST);
	if (keys_taken == keys_wanted)
		sched_monitor_end();
}

/* A key is typed when the one before has been taken, whatever CPU 0 is at; the watcher loses patience if it never is. */
static void *type_keys(void *arg)
{
	(void)arg;
	for (uint64_t n = 1; n <= keys_wanted; n++) {
		__atomic_store_n(&keys_typed, n, __ATOMIC_SEQ_CST);
		if (keys_interrupt)
			machine_type();
		while (__atomic_load_n(&keys_taken, __ATOMIC_SEQ_CST) != n ||
		       (listener && __atomic_load_n(&keys_heard, __ATOMIC_SEQ_CST) != n))
			usleep(1 + (unsigned int)n % 50);
		count(&progress);
	}
	return NULL;
}

/* Has the CPU for itself, and never halts while there are keys to come. */
static void heed_nothing(struct guest *g, struct vcpu *v)
{
	(void)g;
	if (__atomic_load_n(&keys_taken, __ATOMIC_SEQ_CST) == keys_wanted)
		guest_halts(v);
}

/* Sleeps, and has nothing to wake it but what is typed. */
static void listen(struct guest *g, struct vcpu *v)
{
	ASSERT(g == listener);
	if (guest_takes_interrupts(v))
		__atomic_store_n(&keys_heard, __atomic_load_n(&keys_typed, __ATOMIC_SEQ_CST),
				 __ATOMIC_SEQ_CST);
	guest_halts(v);
}

/* ---- the run ---- */

static pthread_barrier_t all_here;

static void *run_cpu(void *arg)
{
	machine_cpu((uint32_t)(uint64_t)arg);
	pthread_barrier_wait(&all_here);
	if (cpu_number)
		cpus_join();
	sched_run();
	if (cpu_number)
		cpus_leave();
	ASSERT(machine_is_empty());
	pthread_barrier_wait(&all_here); /* until then others may ask by fake_thread_pointer */
	return NULL;
}

/* Guests that begin at once, @now of them; the rest when one of them asks. */
static void run_all(const char *what, uint64_t cpus, uint32_t now, uint64_t audit_ms)
{
	pthread_t thread[CPUS], typist;

	counts = (struct sched_counts){ 0 };
	nr_made = now;
	pthread_barrier_init(&all_here, NULL, bits_count(cpus));
	count(&progress);
	machine_reset(); /* sched_start() asks CPUs before they run */
	ASSERT(!sched_init(cpus, audit_ms, false));
	keys_typed = keys_taken = keys_heard = 0;
	if (keys_wanted) {
		sched_monitor_begin(!keys_interrupt);
		ASSERT(!pthread_create(&typist, NULL, type_keys, NULL));
	}
	for (uint32_t i = 0; i < now; i++)
		guest_make(&guests[i]);
	for_each_cpu (cpu, cpus)
		ASSERT(!pthread_create(&thread[cpu], NULL, run_cpu, (void *)(uint64_t)cpu));
	for_each_cpu (cpu, cpus)
		pthread_join(thread[cpu], NULL);
	if (keys_wanted)
		pthread_join(typist, NULL);
	ASSERT(keys_taken == keys_wanted);
	for_each_cpu (cpu, cpus) {
		ASSERT(!sched_stats_of(cpu)->beside_other);
		beside_own += sched_stats_of(cpu)->beside_own;
	}
	ASSERT(counts.halted == nr_given && nr_made == nr_given);
	for (uint32_t i = 0; i < nr_given; i++)
		ASSERT(sched_has_ended(&guests[i].vm) && guests[i].nr_reports == 1);
	if (!what)
		return;
	printf("%-25s CPUs 0x%lx, %2u VMs: messages %lu, kicks %lu, dozes %lu, rests %lu, audits "
	       "%lu\n",
	       what, cpus, nr_given, counts.messages, counts.kicks, counts.dozes, counts.idles,
	       counts.audits);
	fflush(stdout);
}

static void give(void (*program)(struct guest *, struct vcpu *), uint32_t vcpus, uint32_t steps)
{
	struct guest *g = &guests[nr_given++];

	*g = (struct guest){ .program = program, .vm.nr_vcpus = vcpus, .vm.owner = &owner };
	for (uint32_t id = 0; id < vcpus; id++)
		g->p[id] = (struct vcpu_program){ .random = 1 + seed_below(~0UL),
						  .steps = steps,
						  .waits = id };
}

/* To and fro between two vCPUs: dozing, resting on one CPU or two, and beside others that want the CPU. */
static void run_pings(uint64_t rounds)
{
	static const struct {
		const char *what;
		uint64_t cpus;
		unsigned int pairs, spinners;
		uint64_t share; /* of the rounds, in percent */
	} cases[] = {
		{ "on two CPUs, dozing", CORES, 1, 0, 50 },
		{ "on two CPUs, resting", CORES, 2, 0, 5 },
		{ "on two CPUs, many", CORES, 5, 0, 5 },
		{ "on four CPUs, resting", BITS(CPUS - 1, 0), 4, 0, 10 },
		{ "on two threads", THREADS, 1, 0, 10 },
		{ "on one CPU", 1, 1, 0, 10 },
		{ "on one CPU, not alone", 1, 1, 1, 5 },
		{ "on two CPUs, not alone", CORES, 1, 2, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		nr_given = 0;
		rounds_wanted = rounds * cases[i].share / 100 / 2 / cases[i].pairs;
		for (unsigned int k = 0; k < cases[i].pairs; k++)
			give(ping, 2, 1);
		for (unsigned int k = 0; k < cases[i].spinners; k++)
			give(spin, 1, cases[i].spinners);
		run_all(cases[i].what, cases[i].cpus, nr_given, 0);
		for (unsigned int k = 0; k < cases[i].pairs; k++)
			ASSERT(guests[k].p[0].rounds == rounds_wanted &&
			       guests[k].p[1].rounds == rounds_wanted);
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

/* All CPUs have to see that the last VM is gone, at whatever they are. */
static void run_ends(void)
{
	for (unsigned int i = 0; i < 300; i++) {
		nr_given = 0;
		give(wander, 1, 1 + i % 5);
		run_all(i == 299 ? "the end of all, often" : NULL, BITS(CPUS - 1, 0), 1, i % 2);
	}
}

/* Where one that has never run is looked for. */
static void run_starts(void)
{
	rounds_wanted = 2;
	for (unsigned int i = 0; i < 60; i++) {
		nr_given = 0;
		give(ping, 2, 1 + i * 10);
		run_all(i == 59 ? "the first message, often" : NULL, CORES, 1, 0);
	}
}

/* One that runs alone on a thread of its core, on whichever, when another VM comes there. */
static void run_crowds(void)
{
	for (unsigned int i = 0; i < 20; i++) {
		nr_given = 0;
		give(make_all, 1, 2);
		give(spin, 1, 2);
		give(wander, 1, 10);
		give(wander, 1, 10);
		run_all(i == 19 ? "no longer alone, often" : NULL, BITS(CPUS - 1, 0), 2, 1);
	}
}

/*
 * Input is taken whether CPU 0 rests, dozes with a guest of its own, or has one that never halts; and the machine is there until
 * the last key, though all guests have ended.
 */
static void run_monitor(void)
{
	static const uint64_t cpus[] = { 1, CORES, BITS(CPUS - 1, 0) };

	rounds_wanted = 500;
	for (unsigned int i = 0; i < 6; i++) {
		nr_given = 0;
		keys_wanted = 200;
		keys_interrupt = i < 3;
		give(ping, 2, 1);
		give(spin, 1, 1);
		run_all(keys_interrupt ? "somebody types" : "somebody types, polled", cpus[i % 3],
			2, 0);
		nr_given = 0;
		give(heed_nothing, 1, 1);
		run_all(NULL, 1, 1, 0);
	}
	keys_wanted = 0;
}

/* A guest hears each key, whether it dozes, rests or waits for its turn beside others, wherever it sleeps. */
static void run_listener(void)
{
	static const uint64_t cpus[] = { 1, CORES, THREADS, BITS(CPUS - 1, 0) };

	for (unsigned int i = 0; i < 16; i++) {
		nr_given = 0;
		keys_wanted = 30;
		keys_interrupt = i & 4;
		listener = &guests[0];
		rounds_wanted = 500;
		give(listen, 1, 0);
		listener->vm.typed.may_wake = true;
		if (i & 8) {
			give(ping, 2, 1);
			give(spin, 1, 1);
		}
		run_all(i & 8 ? "somebody types to one" : NULL, cpus[i % 4], nr_given, 0);
		ASSERT(keys_heard == keys_wanted);
	}
	keys_wanted = 0;
	listener = NULL;
}

static void *watch(void *arg)
{
	uint64_t seen = ~0UL, now = 0;

	(void)arg;
	for (; now != seen; now = __atomic_load_n(&progress, __ATOMIC_RELAXED)) {
		seen = now;
		sleep(PATIENCE_S);
	}
	fputs("no end\n", stderr);
	abort();
}

int main(void)
{
	const char *count_given = getenv("COUNT");
	uint64_t rounds = count_given ? strtoull(count_given, NULL, 0) : 100000;
	pthread_t watcher;

	seed_start((uint64_t)time(NULL));
	machine_start();
	ASSERT(!pthread_create(&watcher, NULL, watch, NULL) && !pthread_detach(watcher));
	run_ends();
	run_starts();
	run_crowds();
	run_monitor();
	run_listener();
	run_pings(rounds);
	for (uint64_t n = 0; n < 2 + rounds / 10000; n++)
		run_wander();
	ASSERT(beside_own);
	return 0;
}
