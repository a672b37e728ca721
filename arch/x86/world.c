/* SPDX-License-Identifier: MIT */
/*
 * See arch/world.h. A CPU publishes that it stands still, then looks whether it is to; the stopper says so, then waits for
 * everybody to have published. Both by atomics, so that one sees the other. Who stands and finds
 * another stopper when the first has gone stands on.
 */
#include "arch/world.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "arch/trace.h"
#include "lib/assert.h"

static __nonsensitive uint32_t world_stopper;  /* number of the CPU, plus 1; 0: the world goes on */
static __nonsensitive uint64_t world_standing; /* CPUs at a clean point, a bit each */

static uint32_t stopper(void)
{
	return __atomic_load_n(&world_stopper, __ATOMIC_SEQ_CST);
}

void world_yield(void)
{
	uint64_t me = BIT(this_cpu(cpu_number));

	while (unlikely(stopper())) {
		__atomic_fetch_or(&world_standing, me, __ATOMIC_SEQ_CST);
		while (stopper()) {
			cpu_serve();
			cpu_pause();
		}
		__atomic_fetch_and(&world_standing, ~me, __ATOMIC_SEQ_CST);
	}
}

/*
 * CPUs that have not come to a clean point. Those that take part change meanwhile: who joins comes to one before it does
 * anything, and sees the stopper or is seen here; who leaves is in the middle of nothing.
 */
static uint64_t others_moving(void)
{
	uint64_t others = cpus_active() & ~BIT(this_cpu(cpu_number));

	return others & ~__atomic_load_n(&world_standing, __ATOMIC_SEQ_CST);
}

static bool try_stop(void)
{
	uint32_t nobody = 0;

	return __atomic_compare_exchange_n(&world_stopper, &nobody, this_cpu(cpu_number) + 1, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void world_stop(void)
{
	uint64_t begin = rdtsc();

	ASSERT(!irqs_enabled() && !this_cpu(locks_held));
	while (!try_stop())
		world_yield();
	for_each_cpu (cpu, others_moving())
		cpu_kick(cpu);
	while (others_moving()) {
		cpu_serve();
		cpu_pause();
	}
	trace_note(TRACE_STOP, trace_duration(begin, bits_count(cpus_active()) - 1));
}

void world_resume(void)
{
	__atomic_store_n(&world_stopper, 0, __ATOMIC_SEQ_CST);
}
