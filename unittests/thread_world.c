/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/world.c and cpus.c on several CPUs (threads) at once, under ThreadSanitizer: any of them stops the world,
 * waits for another to serve it, parks and comes back, at random. Words without atomics, that all read while they
 * move and that only the stopper writes, prove that nobody moves then; so does ThreadSanitizer.
 *
 * COUNT=n says how often the world is stopped, SEED=n repeats what each CPU does (not how they interleave).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/tlb.h"
#include "arch/world.h"
#include "lib/assert.h"
#include "unittests/seed.h"

#define CPUS	    4
#define PATIENCE_US 60000000 /* nothing takes so long: somebody waits for ever */

static uint64_t shared[8];		   /* no atomics: who moves reads, the stopper writes */
static uint64_t wanted, stops;		   /* of these two, stops atomic */
static bool moving[CPUS];		   /* atomic; between two clean points */
static bool kicked[CPUS];		   /* atomic: an interrupt is pending */
static uint64_t asked[CPUS], served[CPUS]; /* atomic; what a flush is on the machine */
static uint64_t waits, leaves;		   /* atomic */
static _Thread_local uint64_t random_state;

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:history_size=7";
}

static uint64_t below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 8) % limit;
}

/* ---- the machine ---- */

void apic_send_interrupt(uint32_t apic_id, uint8_t vector)
{
	ASSERT(vector == APIC_VECTOR_KICK && apic_id != cpu_number);
	__atomic_store_n(&kicked[apic_id], true, __ATOMIC_SEQ_CST);
}

void tlb_flush_all(void)
{
}

void cpu_serve(void)
{
	uint64_t n = __atomic_load_n(&asked[cpu_number], __ATOMIC_SEQ_CST);

	__atomic_store_n(&served[cpu_number], n, __ATOMIC_SEQ_CST);
}

/* Interrupts are let in: a clean point. */
static void window(void)
{
	if (!__atomic_exchange_n(&kicked[cpu_number], false, __ATOMIC_SEQ_CST))
		return;
	cpu_serve();
	world_yield();
}

/* ---- what a CPU does ---- */

static bool goes_on(void)
{
	return __atomic_load_n(&stops, __ATOMIC_RELAXED) < wanted;
}

/* Waits for another CPU as for a flush: in the middle of something, so that the world does not stop meanwhile. */
static void wait_for(uint32_t cpu)
{
	uint64_t n = __atomic_add_fetch(&asked[cpu], 1, __ATOMIC_SEQ_CST);

	cpu_kick(cpu);
	while ((cpus_active() & BIT(cpu)) && __atomic_load_n(&served[cpu], __ATOMIC_SEQ_CST) < n) {
		cpu_serve();
		cpu_pause();
	}
	__atomic_fetch_add(&waits, 1, __ATOMIC_RELAXED);
}

static void move(void)
{
	uint64_t before = shared[0];

	__atomic_store_n(&moving[cpu_number], true, __ATOMIC_RELAXED);
	if (below(3) == 0)
		wait_for((cpu_number + 1 + (uint32_t)below(CPUS - 1)) % CPUS);
	for (unsigned int i = 0; i < ARRAY_SIZE(shared); i++) {
		if (below(8) == 0)
			cpu_pause();
		ASSERT(shared[i] == before);
	}
	__atomic_store_n(&moving[cpu_number], false, __ATOMIC_RELAXED);
}

static void stop(void)
{
	uint64_t before;

	world_stop();
	before = shared[0];
	for (unsigned int i = 0; i < ARRAY_SIZE(shared); i++) {
		ASSERT(shared[i] == before);
		shared[i]++;
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			ASSERT(!__atomic_load_n(&moving[cpu], __ATOMIC_RELAXED));
		if (below(4) == 0)
			cpu_pause();
	}
	__atomic_store_n(&stops, shared[0], __ATOMIC_RELAXED);
	world_resume();
}

/* Parks, and takes part again. The boot processor never does. */
static void leave(void)
{
	uint64_t before;

	if (cpu_number == 0)
		return;
	before = __atomic_load_n(&stops, __ATOMIC_RELAXED);
	cpus_leave();
	/* Nobody waits for it: the world is stopped meanwhile. */
	while (goes_on() && __atomic_load_n(&stops, __ATOMIC_RELAXED) == before)
		cpu_pause();
	cpus_join();
	__atomic_fetch_add(&leaves, 1, __ATOMIC_RELAXED);
}

/* HLT, which only an interrupt ends. The boot processor has always something to do. */
static void halt(void)
{
	while (cpu_number && goes_on() && !__atomic_load_n(&kicked[cpu_number], __ATOMIC_SEQ_CST))
		cpu_pause();
}

static void *run_cpu(void *arg)
{
	cpu_number = (uint32_t)(uint64_t)arg;
	random_state = (seed_state + 1) * (0x9e3779b97f4a7c15UL + cpu_number);
	if (cpu_number)
		cpus_join();
	while (goes_on()) {
		switch (below(8)) {
		case 0:
			stop();
			break;
		case 1:
			leave();
			break;
		case 2:
			halt();
			break;
		default:
			move();
		}
		window();
	}
	/* As behind sched_run(): without a look at who wants what. */
	cpus_leave();
	return NULL;
}

static void *watch(void *arg)
{
	(void)arg;
	usleep(PATIENCE_US);
	fprintf(stderr, "no end: %lu of %lu stops\n", __atomic_load_n(&stops, __ATOMIC_RELAXED),
		wanted);
	abort();
}

int main(void)
{
	const char *count = getenv("COUNT");
	pthread_t thread[CPUS], watcher;

	seed_start((uint64_t)time(NULL));
	wanted = count ? strtoull(count, NULL, 0) : 20000;
	for (uint32_t i = 0; i < CPUS; i++)
		cpus_add(i, &(struct topology){ .core = i });
	ASSERT(!pthread_create(&watcher, NULL, watch, NULL) && !pthread_detach(watcher));
	for (uint64_t i = 0; i < CPUS; i++)
		ASSERT(!pthread_create(&thread[i], NULL, run_cpu, (void *)i));
	for (unsigned int i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	printf("%lu stops on %u CPUs, %lu waits, parked %lu times\n", stops, CPUS, waits, leaves);
	ASSERT(stops >= wanted && waits && leaves);
	return 0;
}
