/* SPDX-License-Identifier: MIT */
/*
 * A guest's second-stage tables: mm/ptable with the EPT format. Table pages are LOCAL, so
 * that an EPT violation on reserved RAM is served without a crossing (docs/decisions/).
 */
#pragma once
#include "vmm/vm.h"

__must_check int ept_create(struct vm *vm);
void ept_destroy(struct vm *vm);
/* Gives the VM an APIC-access page (apicv.h); ept_destroy() frees it. 0 or -ENOMEM. Before a vCPU is made. */
__must_check int ept_map_apic_page(struct vm *vm);
/* The rights of its leaf: nobody executes there. */
#define EPT_APIC_PAGE_PROT PROT_RW
/*
 * Maps the RAM around @gpa by the largest leaf that can be: 1 GiB if that is one run of host RAM, 2 MiB if the
 * whole of it is RAM, else the 4 KiB page. 0, -EFAULT if there is no RAM, -ENOMEM for a table.
 */
__must_check int ept_map_ram(struct vm *vm, gpa_t gpa);
/*
 * Takes whole pages out again, splitting the leaves that the range cuts; no CPU has a translation of them
 * afterwards. 0, or -ENOMEM with nothing unmapped.
 */
__must_check int ept_unmap_ram(struct vm *vm, gpa_t gpa, uint64_t len);
