/* SPDX-License-Identifier: MIT */
/*
 * An arena that plays RAM, as in unittests/fake/arch/ram.h, but at fixed addresses (constants, as
 * in the hypervisor) and of up to 1 TiB: -DFAKE_RAM_SIZE. Only what is written to costs memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#ifndef FAKE_RAM_SIZE
#define FAKE_RAM_SIZE (1024 * PAGE_SIZE_1G)
#endif
#define RAM_WINDOW_SIZE FAKE_RAM_SIZE

#ifdef __SANITIZE_THREAD__ /* gcc: it leaves us the lowest 512 GiB only */
#define HOST_RAM_DIRECT UL(0x1000000000)
#define HOST_PAGES	UL(0x3000000000)
#else
#define HOST_RAM_DIRECT UL(0x200000000000)
#define HOST_PAGES	UL(0x300000000000)
#endif
#define HOST_RAM_LOCAL	(HOST_RAM_DIRECT + FAKE_RAM_SIZE) /* side by side, as in the hypervisor */
#define HOST_PAGEBLOCKS (HOST_PAGES + PAGE_SIZE_1G * 32)

static inline void *hpa_to_direct(hpa_t hpa)
{
	return (void *)(HOST_RAM_DIRECT + hpa.v);
}

static inline void *hpa_to_local(hpa_t hpa)
{
	return (void *)(HOST_RAM_LOCAL + hpa.v);
}

static inline void *hpa_to_alias(hpa_t hpa, bool local)
{
	return (void *)(HOST_RAM_DIRECT + hpa.v + local * FAKE_RAM_SIZE);
}

static inline bool hva_is_local(const void *hva)
{
	return (uint64_t)hva - HOST_RAM_LOCAL < FAKE_RAM_SIZE;
}

static inline bool hva_is_ram(const void *hva)
{
	return (uint64_t)hva - HOST_RAM_DIRECT < 2 * FAKE_RAM_SIZE;
}

static inline hpa_t hva_to_hpa(const void *hva)
{
	return (hpa_t){ (uint64_t)hva % FAKE_RAM_SIZE };
}
