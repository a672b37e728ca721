/* SPDX-License-Identifier: MIT */
/*
 * The walk of a guest's page tables: 32-bit, PAE and 4-level paging (SDM, "Paging"). Pure but for
 * guestmem_read(): the unit test has its own. Whatever the tables say, it reads one entry a level.
 */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"
#include "mm/addr.h"

struct vm;

struct guest_paging {
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint64_t pdpte[4];  /* PAE only */
	uint64_t phys_mask; /* the address bits that the guest's CPU has */
};

/*
 * Translates @gva for @access: PF_WRITE, PF_FETCH, PF_USER. 0 and *@gpa; or -EFAULT and in *@error
 * the code of the page fault. Tables outside of RAM read as absent. No accessed or dirty bits.
 */
__must_check int guestwalk(const struct vm *vm, const struct guest_paging *p, gva_t gva,
			   uint32_t access, gpa_t *gpa, uint32_t *error);
