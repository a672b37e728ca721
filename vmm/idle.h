/* SPDX-License-Identifier: MIT */
/*
 * A CPU without work waits in a restricted space of its own, which maps GLOBAL memory and no guest's, on
 * a GLOBAL stack: there is nothing for a sibling thread to learn from it, and no flush to pay for.
 */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"

/* This CPU's part. Once, at boot, after asi_init(). 0 or -ENOMEM. */
__must_check int idle_init(void);

/* Waits until the TSC has reached @until. Base stack, unrestricted, interrupts off; the same on return. */
void idle_until(uint64_t until);
