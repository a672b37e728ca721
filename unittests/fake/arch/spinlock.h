/* SPDX-License-Identifier: MIT */
/*
 * Locks for a test with one thread: waiting would be for ever, so taking a lock
 * twice fails the test. Who holds what is known, so that a fake can demand that
 * nothing is held. A wrong order fails the test too. A failed assertion releases everything.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/lockorder.h"

/* unittests/fake/cpu.c */
extern void (*fake_interrupt)(void); /* what comes once, right before the next lock is taken */
uint64_t spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l, uint64_t flags);
bool spin_is_held(const struct spinlock *l);
unsigned int fake_locks_held(void);
extern _Thread_local uint32_t locks_held; /* as the real one */

/* The console's lock, which is no spinlock: a test that has one CPU has no order of it. */
static inline void lock_order_take(uint32_t rank)
{
	(void)rank;
}
static inline void lock_order_give(uint32_t rank)
{
	(void)rank;
}
