/* SPDX-License-Identifier: MIT */
/*
 * Where RAM stands in virtual memory. Unit tests shadow this header with an
 * arena. Included by mm/addr.h, which defines hpa_t; never by itself.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#define RAM_WINDOW_SIZE PHYS_LIMIT /* of each of the two aliases */

/* The direct-map alias of @hpa: the address of SENSITIVE and GLOBAL memory. */
static inline void *hpa_to_direct(hpa_t hpa)
{
	return (void *)(DIRECTMAP_BASE + hpa.v);
}

/* The local-window alias of @hpa: the address of LOCAL memory. */
static inline void *hpa_to_local(hpa_t hpa)
{
	return (void *)(LOCALMAP_BASE + hpa.v);
}

/*
 * Either alias. That LOCAL stands behind the direct map, and both at multiples of their size, spares
 * this and hva_to_hpa() a branch that nobody can foresee.
 */
static inline void *hpa_to_alias(hpa_t hpa, bool local)
{
	return (void *)(DIRECTMAP_BASE + hpa.v + local * PHYS_LIMIT);
}
_Static_assert(LOCALMAP_BASE == DIRECTMAP_BASE + PHYS_LIMIT && DIRECTMAP_BASE % PHYS_LIMIT == 0,
	       "aliases by arithmetic");

/* Whether @hva lies in the local window. */
static inline bool hva_is_local(const void *hva)
{
	return (uint64_t)hva - LOCALMAP_BASE < PHYS_LIMIT;
}

/* Whether @hva lies in one of the two aliases of RAM. */
static inline bool hva_is_ram(const void *hva)
{
	return (uint64_t)hva - DIRECTMAP_BASE < 2 * PHYS_LIMIT;
}

/* The frame behind an address of either alias; anything else is the caller's bug. */
static inline hpa_t hva_to_hpa(const void *hva)
{
	return (hpa_t){ (uint64_t)hva % PHYS_LIMIT };
}
