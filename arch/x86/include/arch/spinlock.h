/* SPDX-License-Identifier: MIT */
/*
 * Ticket lock, always taken with interrupts off.
 *
 * Order, outermost first:  vm -> vmalloc -> slab -> buddy -> console
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/percpu.h"

struct spinlock {
	uint32_t next, owner;
};

/* Locks that this CPU holds, the console's too: what runs with one cannot be given up half-way. */
extern __percpu uint32_t locks_held;

/* Returns the interrupt state, to be handed to spin_unlock. */
static inline uint64_t spin_lock(struct spinlock *l)
{
	uint64_t flags = irq_save();
	uint32_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	this_cpu(locks_held)++;
	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_pause();
	return flags;
}

static inline void spin_unlock(struct spinlock *l, uint64_t flags)
{
	__atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
	this_cpu(locks_held)--;
	irq_restore(flags);
}

/* Whether anyone holds it: for assertions. */
static inline bool spin_is_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
}
