/* SPDX-License-Identifier: MIT */
/*
 * A CPU without work waits in a restricted space of its own, which maps GLOBAL memory and no guest's, on
 * a GLOBAL stack: there is nothing for a sibling thread to learn from it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"

/* The space, and the stacks of @cpus, a bit each; whether to @poll instead of to halt. Once, after asi_init(). 0 or -ENOMEM. */
__must_check int idle_init(uint64_t cpus, bool poll);

/*
 * Waits until the TSC has reached @until, ~0 for ever, or this CPU is asked (sched_is_asked()). Base stack, unrestricted,
 * interrupts off; the same on return.
 */
void idle_until(uint64_t until);

/* Halts until the next interrupt, or TSC @until; perhaps not so long. Any space, interrupts off; lets them in. */
void idle_halt(uint64_t until);
