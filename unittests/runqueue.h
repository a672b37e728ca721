/* SPDX-License-Identifier: MIT */
/* Run queues on a machine of the test's own: which CPUs are threads of one core, and who has a reason to wake. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "lib/bitops.h"
#include "vmm/runqueue.h"

#define SLICE	   1000
#define MEMBERS	   12
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define VM(letter) ((const void *)(uint64_t)(letter))

static unsigned int threads; /* of each core; core n has CPUs n * threads and up */
static struct sched_entity es[MEMBERS];
static bool has_mail[MEMBERS];
static unsigned int nr_crowded;
static uint32_t crowded; /* the core that was crowded last */

uint64_t cpu_siblings(uint32_t cpu)
{
	return BITS(threads - 1, 0) << (cpu / threads * threads);
}

bool sched_may_wake(const struct sched_entity *e)
{
	return has_mail[e - es];
}

void sched_crowded(uint32_t core)
{
	assert_int_equal(fake_locks_held(), 0);
	nr_crowded++;
	crowded = core;
}

static void machine(unsigned int cpus, unsigned int threads_per_core)
{
	threads = threads_per_core;
	memset(es, 0, sizeof(es));
	memset(has_mail, 0, sizeof(has_mail));
	nr_crowded = 0;
	rq_init(SLICE, BITS(cpus - 1, 0));
}

/* @e of VM @vm at @core, ready to run. */
static void add(unsigned int e, const void *vm, uint32_t core)
{
	es[e].vm = vm;
	es[e].wake = 0;
	rq_add(&es[e], core);
}

/* The number of who is picked; -1: nobody. */
static int pick(uint32_t cpu, uint64_t now, uint64_t *end)
{
	uint64_t until = 0;
	struct sched_entity *e = rq_pick(cpu, now, &until);

	if (end)
		*end = until;
	if (e)
		assert_int_equal(e->state, SCHED_RUNNING);
	return e ? (int)(e - es) : -1;
}

static void put(unsigned int e, uint32_t cpu, uint64_t ticks)
{
	rq_put(&es[e], cpu, ticks, SCHED_WAITING, 0, RQ_NO_CPU);
}
