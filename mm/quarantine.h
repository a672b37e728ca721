/* SPDX-License-Identifier: MIT */
/*
 * Runs of pages that were unmapped, and that some CPU may still reach by a stale translation. They
 * wait, in the order freed, until every CPU has flushed; nobody waits for them unless memory runs out
 * or too many are waiting.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "mm/class.h"

#define QUARANTINE_MAX 1024 /* pages (4 MiB), or a single larger run: then a flush is forced */

/*
 * As page_free, for what may still be reached: it was unmapped before this call, and is reused only
 * after all CPUs have flushed. Any context but NMI: links and generation stand in the metadata, nothing
 * is allocated, and a flush that would have to wait is left to the next who can.
 */
void page_free_deferred(void *hva, unsigned int order);

/* Gives back the runs that every CPU has passed; false if there were none. */
bool quarantine_drain(void);
/* Flushes first, so that all of them are: waits for other CPUs, so no lock may be held. */
bool quarantine_flush(void);

/*
 * REQUIRED of asi/switch.c. The generation of now; whether every CPU has begun and ended a flush of
 * everything since it was read; to make that so, which waits for other CPUs; whether the caller may
 * wait.
 */
uint64_t tlb_generation(void);
bool tlb_generation_passed(uint64_t gen);
void tlb_flush_generation(void);
bool tlb_can_wait(void);

/*
 * REQUIRED of asi/shootdown.c, after @nr translations were taken out of the unrestricted space: returns when no CPU can
 * use them, there or, by @class and @owner of the memory, in the restricted spaces that share its tables. Waits
 * for other CPUs: no lock may be held.
 */
void unmap_flush(enum mem_class class, const struct mem_owner *owner, uint64_t nr);
