/* SPDX-License-Identifier: MIT */
/*
 * Sibling stun: while one thread of a core is in the unrestricted space, none of its siblings runs a guest, which could
 * read what the core's caches and buffers then hold. One word for each core says which threads are unrestricted (U) and
 * which are in a guest (G), or on their way there. All changes are atomic instructions on that word, so saying it
 * and seeing the others is one act:
 *
 *   leave    set U; wait until every sibling has been seen without G, or with U (it is in an NMI that has left)
 *   enter    flush, then clear U
 *   VM entry set G, interrupts off; if a sibling had U, clear G and wait at a clean point
 *   VM exit  clear G: the answer that who leaves waits for
 *
 * Who leaves kicks: a guest exits, and so does one whose entry is behind the test already, before its first instruction.
 * A VM without a domain never clears U and sets no G: it is not protected, and others are kept out meanwhile.
 *
 * Where no two threads of a core take part, and with stun=off, all this is a test of one per-CPU pointer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "arch/percpu.h"
#include "lib/compiler.h"

#define STUN_THREADS 32 /* of a core that can take part */

struct stun_core {
	uint64_t word; /* atomic. U of thread t: bit t; G: bit STUN_THREADS + t */
} __aligned(64);

/* This CPU's core, and its U; NULL: no sibling takes part. */
extern __percpu struct stun_core *stun_core;
extern __percpu uint64_t stun_me;

/* Of one CPU, as leaver and as one who is kept out. */
struct stun_stats {
	uint64_t waits;		 /* times that leaving found a sibling in its guest */
	uint64_t ticks, longest; /* until it was out */
	uint64_t log2[32];	 /* of these times, by the highest bit of their ticks */
	uint64_t held;		 /* VM entries put off because a sibling was unrestricted */
	uint64_t held_ticks, held_longest; /* until the next VM entry, or until the CPU gave up */
};

/*
 * Which CPUs run guests: all, or without @smt each core's first thread. When all are known.
 */
uint64_t stun_cpus(bool smt);
/*
 * Turns the stun on, if @on, for each core of which @cpus, those that will take part, has several threads. Once, by
 * one of them, before the others join; unrestricted.
 */
void stun_init(bool on, uint64_t cpus);
/* Why @cpus must not run guests that demand isolation (@strict); NULL if they may. */
const char *stun_refusal(bool strict, bool on, uint64_t cpus);
/* For @cpu, whether it has siblings to stun, and what it has counted. */
bool stun_is_on(uint32_t cpu);
const struct stun_stats *stun_stats_of(uint32_t cpu);

/* This CPU, unrestricted, takes part from now on, before cpus_join(); and no more, behind cpus_leave(). */
void stun_join(void);
void stun_park(void);

/* The rare halves of what follows. */
void stun_leave_core(void);
void stun_entered_core(void);
bool stun_enter_guest(void);
void stun_exit_guest(void);

/*
 * The two calls of asi/switch.c, interrupts off; an NMI may come anywhere, and make both. Before anything that leaving
 * does; behind everything that entering does, flushes too.
 */
static inline void stun_leave(void)
{
	if (unlikely(this_cpu(stun_core)))
		stun_leave_core();
}

static inline void stun_entered(void)
{
	if (unlikely(this_cpu(stun_core)))
		stun_entered_core();
}

/*
 * Right before a VM entry and its asi_check_entry(), interrupts off, in the critical section of the guest's domain if it
 * has one. False if a sibling is unrestricted: the guest must not be entered. Then the CPU relaxes, lets
 * interrupts in, looks for what else there is to do, and tries again from asi_enter() on.
 */
static __always_inline bool stun_guest_begin(void)
{
	return likely(!this_cpu(stun_core)) || stun_enter_guest();
}

/* Right behind the VM exit, before any lock or wait. */
static __always_inline void stun_guest_end(void)
{
	if (unlikely(this_cpu(stun_core)))
		stun_exit_guest();
}

/* Whether this CPU may be on its way into a guest: stun_guest_begin() has said so. */
static __always_inline bool stun_has_begun(void)
{
	const struct stun_core *core = this_cpu(stun_core);

	return likely(core == NULL) ||
	       __atomic_load_n(&core->word, __ATOMIC_RELAXED) & this_cpu(stun_me) << STUN_THREADS;
}
