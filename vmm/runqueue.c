/* SPDX-License-Identifier: MIT */
/* Run queues. Each has a lock; no two are held together: what moves is in neither for a moment. */
#include "vmm/runqueue.h"
#include <stddef.h>
#include "arch/cpus.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/bitops.h"

struct runqueue {
	struct spinlock lock;
	struct list members;
	uint32_t nr, nr_runnable; /* of them; those that are not asleep */
	uint64_t min_vruntime;	  /* of whoever was picked last; never falls */
	/* The core: whose vCPUs its threads run, on how many, and until when. */
	const void *vm;
	uint32_t nr_running;
	uint64_t end;
};

static struct runqueue queues[CPUS_MAX]; /* by the core's first CPU */
static uint64_t slice_ticks, cores;
__nonsensitive uint64_t rq_idle_cpus; /* written by CPUs that doze in a guest's space */

static uint32_t first_of_core[CPUS_MAX];

static uint32_t core_of(uint32_t cpu)
{
	return first_of_core[cpu];
}

void rq_init(uint64_t slice, uint64_t cpus)
{
	slice_ticks = slice;
	cores = rq_idle_cpus = 0;
	for_each_cpu (cpu, cpus) {
		uint32_t core = bit_lowest(cpu_siblings(cpu) & cpus);

		first_of_core[cpu] = core;
		cores |= BIT(core);
		queues[core] = (struct runqueue){ .lock = SPINLOCK(LOCK_RUNQUEUE) };
		list_init(&queues[core].members);
	}
}

static void insert(struct sched_entity *e, uint32_t core)
{
	struct runqueue *q = &queues[core];
	uint64_t flags = spin_lock(&q->lock);
	bool crowded;

	e->core = core;
	e->vruntime += q->min_vruntime;
	list_add_tail(&q->members, &e->link);
	q->nr++;
	q->nr_runnable += e->state != SCHED_SLEEPING;
	crowded = q->nr == 2;
	spin_unlock(&q->lock, flags);
	if (crowded)
		sched_crowded(core);
}

/* With the lock held. */
static void take_out(struct runqueue *q, struct sched_entity *e)
{
	list_del(&e->link);
	q->nr--;
	q->nr_runnable -= e->state != SCHED_SLEEPING;
}

uint32_t rq_choose(void)
{
	uint32_t best = bit_lowest(cores);

	for_each_cpu (core, cores)
		if (READ_ONCE(queues[core].nr) < READ_ONCE(queues[best].nr))
			best = core;
	return best;
}

void rq_add(struct sched_entity *e, uint32_t core)
{
	e->state = SCHED_SLEEPING;
	e->loaded = RQ_NO_CPU;
	e->vruntime = 0;
	insert(e, core);
}

static __always_inline void account_end(struct runqueue *q, struct sched_entity *e)
{
	ASSERT(e->state == SCHED_RUNNING && q->nr_running && q->vm == e->vm);
	if (--q->nr_running == 0)
		q->vm = NULL;
}

void rq_remove(struct sched_entity *e)
{
	struct runqueue *q = &queues[e->core];
	uint64_t flags = spin_lock(&q->lock);

	account_end(q, e);
	take_out(q, e);
	spin_unlock(&q->lock, flags);
}

/* Sleepers whose time has come, or who have a reason, wait from now on. The lock is held. */
static void wake_sleepers(struct runqueue *q, uint64_t now)
{
	uint64_t least = q->min_vruntime - MIN(q->min_vruntime, slice_ticks);
	struct list *p;

	if (q->nr_runnable == q->nr)
		return; /* nobody sleeps */
	list_for_each (p, &q->members) {
		struct sched_entity *e = list_entry(p, struct sched_entity, link);

		if (e->state != SCHED_SLEEPING || (now < e->wake && !sched_may_wake(e)))
			continue;
		e->state = SCHED_WAITING;
		e->vruntime = MAX(e->vruntime, least);
		q->nr_runnable++;
	}
}

static bool may_run(const struct runqueue *q, const struct sched_entity *e, uint32_t cpu)
{
	return e->state == SCHED_WAITING && (e->loaded == RQ_NO_CPU || e->loaded == cpu) &&
	       (!q->nr_running || e->vm == q->vm);
}

/* Who waits, may run on @cpu, and has run least. The lock is held. */
static __always_inline struct sched_entity *least(struct runqueue *q, uint32_t cpu)
{
	struct sched_entity *best = NULL;
	struct list *p;

	list_for_each (p, &q->members) {
		struct sched_entity *e = list_entry(p, struct sched_entity, link);

		if (may_run(q, e, cpu) && (!best || e->vruntime < best->vruntime))
			best = e;
	}
	return best;
}

/* Whether a vCPU of another VM than the one that the core runs waits for it. The lock is held. */
static bool others_wait(const struct runqueue *q)
{
	struct list *p;

	list_for_each (p, &q->members) {
		const struct sched_entity *e = list_entry(p, struct sched_entity, link);

		if (e->state == SCHED_WAITING && e->vm != q->vm)
			return true;
	}
	return false;
}

/*
 * Core scheduling: the first thread chooses the VM and the end of its time, which holds for the others as well. At
 * that end all threads have to come back before another VM has its turn; if no other waits, the time goes on.
 */
static __always_inline struct sched_entity *pick_own(struct runqueue *q, uint32_t cpu, uint64_t now,
						     uint64_t *end)
{
	uint64_t flags = spin_lock(&q->lock);
	struct sched_entity *e;

	wake_sleepers(q, now);
	e = least(q, cpu);
	if (e && q->nr_running && now >= q->end && others_wait(q))
		e = NULL;
	if (e) {
		if (!q->nr_running || now >= q->end)
			q->end = now + slice_ticks;
		q->vm = e->vm;
		q->nr_running++;
		e->state = SCHED_RUNNING;
		q->min_vruntime = MAX(q->min_vruntime, e->vruntime);
		*end = q->end;
	}
	spin_unlock(&q->lock, flags);
	return e;
}

/* Who waits, has its registers in no CPU, and has run least. The lock is held. */
static struct sched_entity *free_to_go(struct runqueue *q)
{
	struct sched_entity *found = NULL;
	struct list *p;

	list_for_each (p, &q->members) {
		struct sched_entity *e = list_entry(p, struct sched_entity, link);

		if (e->state == SCHED_WAITING && e->loaded == RQ_NO_CPU &&
		    (!found || e->vruntime < found->vruntime))
			found = e;
	}
	return found;
}

/* One of @core that is free to go; out of its queue, its vruntime as its lead over the others there. */
static struct sched_entity *take_from(uint32_t core)
{
	struct runqueue *q = &queues[core];
	uint64_t flags = spin_lock(&q->lock);
	struct sched_entity *found = free_to_go(q);

	if (found) {
		take_out(q, found);
		found->vruntime -= MIN(found->vruntime, q->min_vruntime);
	}
	spin_unlock(&q->lock, flags);
	return found;
}

/* The core with the most to run. Read without locks: a guess, which the taking checks. */
static uint32_t busiest(void)
{
	uint32_t most = bit_lowest(cores);

	for_each_cpu (core, cores)
		if (READ_ONCE(queues[core].nr_runnable) > READ_ONCE(queues[most].nr_runnable))
			most = core;
	return most;
}

/* A core that has two or more to run for each one of ours gives us one. */
static __noinline void balance(uint32_t core)
{
	struct sched_entity *e;
	uint32_t other = busiest();

	if (READ_ONCE(queues[other].nr_runnable) < READ_ONCE(queues[core].nr_runnable) + 2)
		return;
	e = take_from(other);
	if (e)
		insert(e, core);
}

/* With nothing of its own to do: whatever waits elsewhere. */
static __noinline struct sched_entity *steal(uint32_t cpu, uint64_t now, uint64_t *end)
{
	uint32_t core = core_of(cpu);

	if (READ_ONCE(queues[core].nr_running))
		return NULL;
	for_each_cpu (other, cores & ~BIT(core)) {
		struct sched_entity *e =
			READ_ONCE(queues[other].nr_running) ? take_from(other) : NULL;

		if (!e)
			continue;
		insert(e, core);
		return pick_own(&queues[core], cpu, now, end);
	}
	return NULL;
}

struct sched_entity *rq_pick(uint32_t cpu, uint64_t now, uint64_t *end)
{
	uint32_t core = core_of(cpu);
	struct sched_entity *e;

	if (cores != BIT(core))
		balance(core);
	e = pick_own(&queues[core], cpu, now, end);
	return likely(e) ? e : steal(cpu, now, end);
}

void rq_put(struct sched_entity *e, uint32_t cpu, uint64_t ticks, enum sched_state state,
	    uint64_t wake, uint32_t loaded)
{
	struct runqueue *q = &queues[e->core];
	uint64_t flags = spin_lock(&q->lock);

	ASSERT(core_of(cpu) == e->core && state != SCHED_RUNNING);
	account_end(q, e);
	e->vruntime += ticks;
	e->state = state;
	e->wake = wake;
	e->loaded = loaded;
	q->nr_runnable -= state == SCHED_SLEEPING;
	spin_unlock(&q->lock, flags);
}

bool rq_is_alone(const struct sched_entity *e)
{
	return READ_ONCE(queues[e->core].nr) == 1;
}

uint64_t rq_next_wake(uint32_t cpu)
{
	struct runqueue *q = &queues[core_of(cpu)];
	uint64_t flags = spin_lock(&q->lock), first = RQ_NEVER;
	struct list *p;

	list_for_each (p, &q->members) {
		const struct sched_entity *e = list_entry(p, struct sched_entity, link);

		if (e->state == SCHED_SLEEPING)
			first = MIN(first, e->wake);
	}
	/* A thread that waits for its core's other VM to end its time. */
	if (q->nr_running && others_wait(q))
		first = MIN(first, q->end);
	spin_unlock(&q->lock, flags);
	return first;
}

/* Whether rq_pick() would find one at another core. */
static bool may_take(uint32_t core)
{
	struct runqueue *q = &queues[core];
	uint64_t flags;
	bool any;

	if (!READ_ONCE(q->nr_running))
		return false;
	flags = spin_lock(&q->lock);
	any = free_to_go(q);
	spin_unlock(&q->lock, flags);
	return any;
}

bool rq_has_work(uint32_t cpu, uint64_t now)
{
	struct runqueue *q = &queues[core_of(cpu)];
	uint64_t flags = spin_lock(&q->lock);
	bool any;

	wake_sleepers(q, now);
	any = least(q, cpu) && !(q->nr_running && now >= q->end && others_wait(q));
	spin_unlock(&q->lock, flags);
	if (any || READ_ONCE(q->nr_running))
		return any;
	for_each_cpu (other, cores & ~BIT(core_of(cpu)))
		any |= may_take(other);
	return any;
}

void rq_set_idle(uint32_t cpu, bool idle)
{
	if (idle)
		__atomic_fetch_or(&rq_idle_cpus, BIT(cpu), __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&rq_idle_cpus, ~BIT(cpu), __ATOMIC_SEQ_CST);
}

/* The CPUs that could take somebody who waits at @q: threads of its core those of its VM only. */
static uint64_t takers(struct runqueue *q, uint64_t threads)
{
	uint64_t set = 0, flags = spin_lock(&q->lock);
	struct list *p;

	list_for_each (p, &q->members) {
		const struct sched_entity *e = list_entry(p, struct sched_entity, link);
		uint64_t may = e->loaded == RQ_NO_CPU ? ~0UL : BIT(e->loaded);

		if (e->state == SCHED_WAITING)
			set |= e->vm == q->vm ? may : may & ~threads;
	}
	spin_unlock(&q->lock, flags);
	return set;
}

uint32_t rq_idle_cpu(uint32_t cpu)
{
	uint64_t idle = __atomic_load_n(&rq_idle_cpus, __ATOMIC_SEQ_CST) & ~BIT(cpu);
	uint64_t threads = cpu_siblings(cpu);

	if (idle)
		idle &= takers(&queues[core_of(cpu)], threads);
	if (!idle)
		return RQ_NO_CPU;
	return bit_lowest(idle & threads ? idle & threads : idle);
}
