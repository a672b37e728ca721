/* SPDX-License-Identifier: MIT */
/* See asi/stun.h. */
#include "asi/stun.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/trace.h"
#include "arch/world.h"
#include "asi/internal.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "lib/bitops.h"

#define ALL_U BITS(STUN_THREADS - 1, 0)

__percpu struct stun_core *stun_core;
__percpu uint64_t stun_me;
static __percpu struct stun_stats stun_stats;
static __percpu uint64_t stun_held_since; /* 0: this CPU is not kept out of its guest */

/* By the number of the core's first CPU. */
static __nonsensitive struct stun_core stun_cores[CPUS_MAX];

static uint64_t read_word(const struct stun_core *core)
{
	return __atomic_load_n(&core->word, __ATOMIC_SEQ_CST);
}

/* U of the siblings that are in a guest: an NMI that has left has it behind it, and may not go back while U is set. */
static uint64_t in_guest(uint64_t word)
{
	return word >> STUN_THREADS & ~word & ALL_U;
}

static uint64_t unrestricted_others(uint64_t word)
{
	return word & ALL_U & ~this_cpu(stun_me);
}

static void kick_threads(uint64_t threads)
{
	for_each_cpu (cpu, cpu_siblings(this_cpu(cpu_number)))
		if (BIT(cpu_thread(cpu)) & threads)
			cpu_kick(cpu);
}

static void note_wait(uint64_t start, uint32_t siblings)
{
	struct stun_stats *s = this_cpu_ptr(stun_stats);
	uint64_t ticks = rdtsc() - start;

	trace_local(this_cpu(asi_curr), TRACE_STUN, trace_duration(start, siblings));
	s->waits++;
	s->ticks += ticks;
	s->longest = MAX(s->longest, ticks);
	s->log2[MIN(bit_highest(ticks | 1), ARRAY_SIZE(s->log2) - 1)]++;
}

/* The CPU enters its guest, or does something else. */
static void note_held(void)
{
	struct stun_stats *s = this_cpu_ptr(stun_stats);
	uint64_t since = this_cpu(stun_held_since), ticks = rdtsc() - since;

	trace_local(this_cpu(asi_curr), TRACE_HELD, trace_duration(since, 0));
	this_cpu(stun_held_since) = 0;
	s->held_ticks += ticks;
	s->held_longest = MAX(s->held_longest, ticks);
}

/*
 * Each sibling needs to be seen once: with U set it cannot begin again, but say so and see that it must not. Own
 * G may be set: an NMI before a VM entry, or right behind an exit.
 */
void stun_leave_core(void)
{
	struct stun_core *core = this_cpu(stun_core);
	uint64_t me = this_cpu(stun_me), start;
	uint64_t waiting = in_guest(__atomic_fetch_or(&core->word, me, __ATOMIC_SEQ_CST)) & ~me;
	uint32_t siblings = bits_count(waiting);

	if (unlikely(this_cpu(stun_held_since)))
		note_held();
	if (!waiting)
		return;
	start = rdtsc();
	kick_threads(waiting);
	do {
		cpu_serve();
		cpu_pause();
		waiting &= in_guest(read_word(core));
	} while (waiting);
	note_wait(start, siblings);
}

/*
 * The VM entry that an NMI has interrupted was permitted, but a sibling has gone out since, and did not wait for us, who
 * were out too. What is interrupted is in its critical section, where the world may stop.
 */
static void wait_for_permission(struct stun_core *core)
{
	uint64_t guest = this_cpu(stun_me) << STUN_THREADS;

	for (;;) {
		while (unrestricted_others(read_word(core))) {
			cpu_serve();
			world_yield();
			cpu_pause();
		}
		if (!unrestricted_others(__atomic_fetch_or(&core->word, guest, __ATOMIC_SEQ_CST)))
			return;
		__atomic_fetch_and(&core->word, ~guest, __ATOMIC_SEQ_CST);
	}
}

void stun_entered_core(void)
{
	struct stun_core *core = this_cpu(stun_core);
	uint64_t me = this_cpu(stun_me), guest = me << STUN_THREADS, old = read_word(core), new;

	do {
		new = old & ~me;
		if (unrestricted_others(old))
			new &= ~guest;
	} while (!__atomic_compare_exchange_n(&core->word, &old, new, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	if (old & ~new &guest)
		wait_for_permission(core);
}

bool stun_enter_guest(void)
{
	struct stun_core *core = this_cpu(stun_core);
	uint64_t guest = this_cpu(stun_me) << STUN_THREADS;

	if (!asi_current())
		return true;
	/* Looked at first, so that who waits at a clean point does not flicker. */
	if (!unrestricted_others(read_word(core))) {
		if (!unrestricted_others(__atomic_fetch_or(&core->word, guest, __ATOMIC_SEQ_CST))) {
			if (unlikely(this_cpu(stun_held_since)))
				note_held();
			return true;
		}
		__atomic_fetch_and(&core->word, ~guest, __ATOMIC_SEQ_CST);
	}
	this_cpu(stun_stats).held++;
	if (!this_cpu(stun_held_since))
		this_cpu(stun_held_since) = rdtsc() | 1;
	return false;
}

void stun_exit_guest(void)
{
	__atomic_fetch_and(&this_cpu(stun_core)->word, ~(this_cpu(stun_me) << STUN_THREADS),
			   __ATOMIC_SEQ_CST);
}

void stun_join(void)
{
	stun_leave();
}

/* What it has left in the core's caches is flushed, so that its siblings need not wait for it. */
void stun_park(void)
{
	struct stun_core *core = this_cpu(stun_core);

	if (!core)
		return;
	mitigate_park();
	__atomic_fetch_and(&core->word, ~this_cpu(stun_me), __ATOMIC_SEQ_CST);
}

uint64_t stun_cpus(bool smt)
{
	uint64_t cpus = 0;

	for (uint32_t cpu = 0; cpu < cpus_nr(); cpu++)
		if (cpu_thread(cpu) < (smt ? STUN_THREADS : 1))
			cpus |= BIT(cpu);
	return cpus;
}

static bool shares_core(uint32_t cpu, uint64_t cpus)
{
	return cpu_siblings(cpu) & cpus & ~BIT(cpu);
}

void stun_init(bool on, uint64_t cpus)
{
	if (!on || !switch_enabled())
		return;
	for_each_cpu (cpu, cpus) {
		if (!shares_core(cpu, cpus))
			continue;
		ASSERT(cpu_thread(cpu) < STUN_THREADS);
		*percpu_of(cpu, stun_me) = BIT(cpu_thread(cpu));
		*percpu_of(cpu, stun_core) = &stun_cores[bit_lowest(cpu_siblings(cpu))];
	}
	stun_join();
}

const char *stun_refusal(bool strict, bool on, uint64_t cpus)
{
	for_each_cpu (cpu, cpus)
		if (strict && !on && shares_core(cpu, cpus))
			return "asi=strict with stun=off, but threads of a core would run guests: "
			       "smt=off is needed";
	return NULL;
}

bool stun_is_on(uint32_t cpu)
{
	return *percpu_of(cpu, stun_core);
}

const struct stun_stats *stun_stats_of(uint32_t cpu)
{
	return percpu_of(cpu, stun_stats);
}
