/* SPDX-License-Identifier: MIT */
/*
 * An arena that plays RAM from host-physical address 0 on: one memory file, mapped
 * twice, so that direct map and local window are two addresses of the same bytes.
 * It is sparse: only what is written to costs memory. Included by mm/addr.h only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#ifndef FAKE_RAM_SIZE /* tests.mk gives some tests more */
#define FAKE_RAM_SIZE (4 * PAGE_SIZE_1G)
#endif
#define RAM_WINDOW_SIZE FAKE_RAM_SIZE

/* unittests/fake/ram.c, there before main() starts. */
extern uint8_t *fake_ram_direct, *fake_ram_local;

/* Whether every byte is zero; costs nothing where the arena was never written. */
bool fake_ram_is_zero(hpa_t hpa, uint64_t len);
/* From now on (or no more) a touch of RAM, by either alias, is a crash. */
void fake_ram_forbid(bool forbid);

static inline void *hpa_to_direct(hpa_t hpa)
{
	return fake_ram_direct + hpa.v;
}

static inline void *hpa_to_local(hpa_t hpa)
{
	return fake_ram_local + hpa.v;
}

static inline void *hpa_to_alias(hpa_t hpa, bool local)
{
	return local ? hpa_to_local(hpa) : hpa_to_direct(hpa);
}

static inline bool hva_is_local(const void *hva)
{
	return (uint64_t)hva - (uint64_t)fake_ram_local < FAKE_RAM_SIZE;
}

static inline bool hva_is_ram(const void *hva)
{
	return (uint64_t)hva - (uint64_t)fake_ram_direct < FAKE_RAM_SIZE || hva_is_local(hva);
}

static inline hpa_t hva_to_hpa(const void *hva)
{
	const uint8_t *base = hva_is_local(hva) ? fake_ram_local : fake_ram_direct;

	return (hpa_t){ (uint64_t)hva - (uint64_t)base };
}
