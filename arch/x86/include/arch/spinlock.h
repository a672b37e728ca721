/* SPDX-License-Identifier: MIT */
/*
 * Ticket lock, always taken with interrupts off. Each has a rank, which it is made with, and its place in the order
 * of arch/lockorder.h; debug builds check it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/lockorder.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "lib/compiler.h"

/* Locks that this CPU holds, the console's too: what runs with one cannot be given up half-way. */
extern __percpu uint32_t locks_held;
/* In debug builds, their ranks, a bit each. */
extern __percpu uint32_t lock_ranks;

static inline void lock_order_take(uint32_t rank)
{
	if (!DEBUG)
		return;
	ASSERT(rank && !(this_cpu(lock_ranks) >> rank));
	this_cpu(lock_ranks) |= 1u << rank;
}

static inline void lock_order_give(uint32_t rank)
{
	if (DEBUG)
		this_cpu(lock_ranks) &= ~(1u << rank);
}

/* Returns the interrupt state, to be handed to spin_unlock. */
static inline uint64_t spin_lock(struct spinlock *l)
{
	uint64_t flags = irq_save();
	uint32_t ticket;

	lock_order_take(l->rank);
	ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	this_cpu(locks_held)++;
	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_pause();
	return flags;
}

static inline void spin_unlock(struct spinlock *l, uint64_t flags)
{
	__atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
	lock_order_give(l->rank);
	this_cpu(locks_held)--;
	irq_restore(flags);
}

/* Whether anyone holds it: for assertions. */
static inline bool spin_is_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
}
