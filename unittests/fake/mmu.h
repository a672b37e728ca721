/* SPDX-License-Identifier: MIT */
/*
 * The fake processor's CR3 and TLB. It remembers for each PCID whose translations are cached, and
 * whether one of them has been unmapped since, and writes down what it is told to do:
 *
 *	F   fence                    N2  CR3 := PCID 2, translations kept
 *	I2  flush of PCID 2          W2  CR3 := PCID 2, translations dropped
 *	A   flush of everything      P   flush of a page of the current PCID
 *	L, V, B, S   flush of the L1D, VERW, IBPB, RSB fill
 *
 * Bodies of arch/tlb.h and arch/mitigation.h, and of write_cr3() and read_cr3().
 */
#pragma once
#include <stdbool.h>
#include "arch/mitigation.h"
#include "mm/addr.h"

extern char fake_mmu_log[256]; /* cut when full; a test empties it */
extern uint64_t fake_cr3;      /* as read, so without bit 63 */

/* What mitigation_detect() finds. */
extern struct mitigation_cpu fake_mitigation;
/* If set: called for each of the last four, with its bit, before it is done. */
extern void (*fake_mmu_on_flush)(unsigned int flush);

/* If set: called before and after each of the above, where an NMI may come. */
extern void (*fake_mmu_point)(void);

/* An empty TLB and an empty log; CR3 is @cr3. */
void fake_mmu_reset(bool has_pcid, uint64_t cr3);
void fake_mmu_fence(void);
/* Something was unmapped in the tables of @root, or they ended: what is cached of them is stale. */
void fake_mmu_unmapped(hpa_t root);
/* The same, and only the page at @va, so that an INVLPG of it is enough. */
void fake_mmu_unmapped_at(hpa_t root, uint64_t va);
/* Whether the MMU now translates by the tables of CR3 as they are and by nothing older. */
bool fake_mmu_is_fresh(void);
