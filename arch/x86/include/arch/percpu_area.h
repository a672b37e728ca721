/* SPDX-License-Identifier: MIT */
/*
 * The nonsensitive area of one CPU, PERCPU_STRIDE long, at PERCPU_BASE + cpu * PERCPU_STRIDE.
 * Stacks stand between guard pages, so that an overflow faults instead of writing on:
 *
 *   0x00000  data (copy of the template)     up to 32 KiB
 *   0x10000  base stack                      16 KiB
 *   0x18000  #DF stack                        8 KiB
 *   0x20000  NMI stack                        8 KiB
 *   0x28000  #MC stack                        8 KiB
 *   0x30000  dynamic part (mm/percpu.h)      32 KiB
 *
 * The sensitive area, at PERCPU_SENSITIVE_BASE + cpu * PERCPU_STRIDE, has the data and the
 * dynamic part only, at the same offsets.
 */
#pragma once
#include <stdint.h>
#include "arch/desc.h"
#include "arch/layout.h"
#include "arch/percpu_dyn.h"

struct percpu_part {
	uint64_t offset, size;
};

/* What of the nonsensitive area is backed by memory; between the parts are guards. */
static const struct percpu_part percpu_parts[] = {
	{ 0x00000, PERCPU_DATA_SIZE }, { 0x10000, 0x4000 }, { 0x18000, 0x2000 },
	{ 0x20000, 0x2000 },	       { 0x28000, 0x2000 }, { PERCPU_DYN_OFFSET, PERCPU_DYN_SIZE },
};
#define PERCPU_PART_STACK 1 /* index of the base stack; the IST stacks follow in order */
static const struct percpu_part percpu_sensitive_parts[] = {
	{ 0x00000, PERCPU_DATA_SIZE },
	{ PERCPU_DYN_OFFSET, PERCPU_DYN_SIZE },
};
_Static_assert(PERCPU_DYN_OFFSET + PERCPU_DYN_SIZE < PERCPU_STRIDE, "a guard before the next CPU");

static inline uint64_t percpu_area(uint32_t cpu)
{
	return PERCPU_BASE + cpu * PERCPU_STRIDE;
}

static inline uint64_t percpu_stack_top(uint32_t cpu)
{
	const struct percpu_part *p = &percpu_parts[PERCPU_PART_STACK];

	return percpu_area(cpu) + p->offset + p->size;
}

static inline uint64_t percpu_ist_top(uint32_t cpu, unsigned int ist)
{
	const struct percpu_part *p = &percpu_parts[PERCPU_PART_STACK + ist];

	return percpu_area(cpu) + p->offset + p->size;
}

/* Copies both templates into the areas of @cpu, which are mapped, and points GS base there. */
void percpu_init(uint32_t cpu);
