/* SPDX-License-Identifier: MIT */
/*
 * Stopping the world: no other CPU is inside of anything while the caller looks at what all share, or takes away what
 * others may be reading. They stand at clean points: where interrupts are let in, no handler of theirs holds a lock,
 * a pointer into guest RAM, or has unmapped something that is not flushed yet. They serve flushes meanwhile.
 *
 * For the audit's steps and for guest RAM that is given back: rare, and short.
 */
#pragma once

/* Interrupts off, no lock held, itself at a clean point: while it waits for its turn, others may do theirs. */
void world_stop(void);
void world_resume(void);

/* A clean point: if somebody wants the world to stop, this CPU stands here until it goes on. Interrupts off. */
void world_yield(void);
