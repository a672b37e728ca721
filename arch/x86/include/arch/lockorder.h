/* SPDX-License-Identifier: MIT */
/*
 * What a spinlock is, and the one order of all locks: a CPU takes a lock only if it holds none of an equal or higher rank,
 * so no two CPUs can wait for each other. arch/spinlock.h checks it in debug builds, and so do host tests.
 */
#pragma once
#include <stdint.h>

/* THE order, outermost first. */
enum lock_rank {
	LOCK_UNRANKED, /* zeroed memory: a lock that nobody has made */
	LOCK_VM,       /* a VM's devices, and its EPT */
	LOCK_RUNQUEUE, /* vCPUs of a core */
	LOCK_VMALLOC,  /* areas */
	LOCK_PERCPU,   /* either half of the dynamic per-CPU memory */
	LOCK_CACHES,   /* lists of slab caches */
	LOCK_SLAB,     /* one slab cache */
	LOCK_BUDDY,    /* all pages */
	LOCK_ASI,      /* generations, and the table of domains */
	LOCK_CONSOLE,  /* the one that is no spinlock: drivers/console.c */
};

struct spinlock {
	uint32_t next, owner;
	uint32_t rank;
};
#define SPINLOCK(r)         \
	{                   \
		.rank = (r) \
	}

static inline void spin_init(struct spinlock *l, enum lock_rank rank)
{
	*l = (struct spinlock)SPINLOCK(rank);
}
