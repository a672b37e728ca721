/* SPDX-License-Identifier: MIT */
/*
 * The fake processor's CR3 and TLB. It remembers for each PCID whose translations are cached, and
 * whether one of them has been unmapped since, and writes down what it is told to do:
 *
 *	F   fence                    N2  CR3 := PCID 2, translations kept
 *	I2  flush of PCID 2          W2  CR3 := PCID 2, translations dropped
 *	A   flush of everything          L2  flush of one address in PCID 2
 *
 * Bodies of arch/tlb.h, and of write_cr3(), read_cr3() and invlpg().
 */
#pragma once
#include <stdbool.h>
#include "mm/addr.h"

extern bool fake_has_pcid;
extern char fake_mmu_log[256]; /* cut when full; a test empties it */
extern uint64_t fake_cr3;      /* as read, so without bit 63 */

/* If set: called before and after each of the above, where an NMI may come. */
extern void (*fake_mmu_point)(void);

/* An empty TLB and an empty log; CR3 is @cr3. */
void fake_mmu_reset(bool has_pcid, uint64_t cr3);
void fake_mmu_fence(void);
/* Something was unmapped in the tables of @root, or they ended: what is cached of them is stale. */
void fake_mmu_unmapped(hpa_t root);
/* Whether the MMU now translates by the tables of CR3 as they are and by nothing older. */
bool fake_mmu_is_fresh(void);
