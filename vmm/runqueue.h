/* SPDX-License-Identifier: MIT */
/*
 * The run queues: one for each core, whose threads share it. The order of vCPUs, where they are, and the rule of
 * core scheduling: the threads of a core run vCPUs of one VM at a time. Knows nothing of VMX, so that the
 * host tests it with threads for CPUs.
 *
 * A vCPU belongs to one core until another one, that has nothing to do, takes it. Who has run least goes first;
 * who comes back from sleep has run as much as the one that has run least, less a slice. All memory
 * here is SENSITIVE: it names other VMs.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/list.h"

#define RQ_NEVER  (~0UL) /* a wake time */
#define RQ_NO_CPU (~0U)

enum sched_state {
	SCHED_SLEEPING, /* until sched_may_wake() */
	SCHED_WAITING,	/* to be picked */
	SCHED_RUNNING,	/* picked by a CPU */
};

struct sched_entity {
	struct list link; /* of its core's queue */
	const void *vm;	  /* only compared */
	enum sched_state state;
	uint32_t core;	   /* its queue: the core's first CPU */
	uint32_t loaded;   /* CPU that has its registers and may take it; RQ_NO_CPU: all may */
	uint64_t vruntime; /* ticks that it has run, as compared with others of its queue */
	uint64_t wake;	   /* a sleeper's: the TSC at which it may wake by itself; or RQ_NEVER */
};

/* Ticks of the longest turn, and the CPUs, a bit each, that will pick. Before anything else, once. */
void rq_init(uint64_t slice, uint64_t cpus);

/* The core with the fewest. A new one, sleeping, goes to @core; it may run, and be gone, before this returns. */
uint32_t rq_choose(void);
void rq_add(struct sched_entity *e, uint32_t core);
/* It is gone for good: by the CPU that runs it. */
void rq_remove(struct sched_entity *e);

/*
 * Who runs next on @cpu, and in *@end until when at most; NULL if nobody can. Wakes sleepers whose time has come.
 * Takes from other cores if its own has nothing, or clearly less.
 */
struct sched_entity *rq_pick(uint32_t cpu, uint64_t now, uint64_t *end);

/*
 * Ends what rq_pick() began on @cpu: @e has run @ticks, and waits, or sleeps until @wake or a kick.
 * @loaded: the CPU that still has its registers, or RQ_NO_CPU.
 */
void rq_put(struct sched_entity *e, uint32_t cpu, uint64_t ticks, enum sched_state state,
	    uint64_t wake, uint32_t loaded);

/* Whether @e is the only one of its queue: it then need not come back at the end of each slice. */
bool rq_is_alone(const struct sched_entity *e);

/* The first time at which a sleeper of @cpu's core may wake; whether @cpu could pick one now. */
uint64_t rq_next_wake(uint32_t cpu);
bool rq_has_work(uint32_t cpu, uint64_t now);

/*
 * CPUs with nothing to do. A CPU notes itself before it looks for the last time; who has made work sees it then, or is
 * seen. rq_idle_cpu() is one of them that could take what waits at @cpu, its siblings first; RQ_NO_CPU if there is none.
 */
void rq_set_idle(uint32_t cpu, bool idle);
extern uint64_t rq_idle_cpus; /* a bit each; for rq_any_idle() */
static inline bool rq_any_idle(void)
{
	return __atomic_load_n(&rq_idle_cpus, __ATOMIC_SEQ_CST);
}
uint32_t rq_idle_cpu(uint32_t cpu);

/*
 * REQUIRED of vmm/schedule.c: a queue has got its second vCPU. Whoever runs at @core may believe to be alone there. No
 * lock is held.
 */
void sched_crowded(uint32_t core);
/* REQUIRED of vmm/schedule.c: whether a sleeper has a reason to run, its wake time apart. Takes no lock. */
bool sched_may_wake(const struct sched_entity *e);
