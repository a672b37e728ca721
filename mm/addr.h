/* SPDX-License-Identifier: MIT */
/*
 * Kinds of address, as types that do not mix:
 *
 *   hpa   host-physical address: what a machine's page tables and DMA name
 *   hva   host-virtual address: a plain pointer of the hypervisor
 *   gpa   guest-physical address: what a guest believes is physical
 *   gva   guest-virtual address (the SDM's guest-linear address)
 *   pfn   number of a host page frame, hpa >> 12
 *
 * RAM has two aliases (arch/layout.h). SENSITIVE and GLOBAL memory is addressed
 * in the direct map, LOCAL memory in the local window, so that an address tells
 * the class.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"
#include "lib/compiler.h"

typedef struct {
	uint64_t v;
} hpa_t;
typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} gva_t;
typedef uint64_t pfn_t;

#define HPA(x)	 ((hpa_t){ (x) })
#define GPA(x)	 ((gpa_t){ (x) })
#define GVA(x)	 ((gva_t){ (x) })
#define HPA_NONE HPA(~0UL)

static inline pfn_t hpa_to_pfn(hpa_t hpa)
{
	return hpa.v >> PAGE_SHIFT;
}

static inline hpa_t pfn_to_hpa(pfn_t pfn)
{
	return HPA(pfn << PAGE_SHIFT);
}

#include "arch/ram.h" /* hpa_to_direct(), hpa_to_local(), hva_to_hpa(), hva_is_local() */
