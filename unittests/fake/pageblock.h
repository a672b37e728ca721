/* SPDX-License-Identifier: MIT */
/*
 * What asi/map.c would do for mm, with every demand that it may make checked, and a
 * record of which block is mapped in whose restricted space.
 */
#pragma once
#include <stdbool.h>
#include "mm/page.h"

/* Whether the block of @pfn is exposed exactly as its class and owner say. */
bool fake_pageblock_is_right(pfn_t pfn);

/* Calls so far. */
extern uint64_t fake_exposes, fake_hides;

/* The TLB generations that mm/quarantine.h REQUIRES: what other CPUs have passed moves by hand or flush. */
extern uint64_t fake_tlb_begun, fake_tlb_ended, fake_tlb_flushes;
extern bool fake_tlb_can_wait;

/* If set, called once from inside the next expose or hide: what another CPU may do then. */
extern void (*fake_pageblock_hook)(void);
