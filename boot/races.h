/* SPDX-License-Identifier: MIT */
/*
 * Races of shootdowns, for races=N: one CPU takes translations away, all others use them as fast as they can from a
 * restricted space that they keep leaving and entering, with interrupts on. What a round has unmapped no CPU may read from
 * once its flush has returned.
 *
 * So that nothing has to fault, a translation is taken away by putting another one in its place: a leaf of 2 MiB of
 * LOCAL memory, as when a pageblock is hidden and another one shown. Each frame says in which round it was put there,
 * and a reader that meets an older round than the last one that is over has used a stale translation. First comes a control,
 * without flushes, in which exactly that has to be seen.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/*
 * @rounds of it, then the record @races. False if something stale was read, if the control saw nothing, or for want of
 * memory or of another CPU. True without ASI. Unrestricted, base context, before any guest runs.
 */
bool races_run(uint64_t rounds);

/* What ap_do_everywhere() does on each CPU meanwhile. */
void races_work(void);
