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

struct spinlock {
	uint32_t next, owner;
};

/* Returns the interrupt state, to be handed to spin_unlock. */
static inline uint64_t spin_lock(struct spinlock *l)
{
	uint64_t flags = irq_save();
	uint32_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_pause();
	return flags;
}

static inline void spin_unlock(struct spinlock *l, uint64_t flags)
{
	__atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
	irq_restore(flags);
}

/* Whether anyone holds it: for assertions. */
static inline bool spin_is_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
}
