/* SPDX-License-Identifier: MIT */
/*
 * The two areas of one CPU, each PERCPU_STRIDE long: nonsensitive at PERCPU_BASE + cpu * PERCPU_STRIDE,
 * sensitive at PERCPU_SENSITIVE_BASE + cpu * PERCPU_STRIDE. Stacks stand between guard pages, so that an
 * overflow faults instead of writing on. Nonsensitive:
 *
 *   0x00000  data (copy of the template)     up to 32 KiB
 *   0x10000  #DF stack                        8 KiB
 *   0x30000  dynamic part (mm/percpu.h)      32 KiB
 *
 * The #DF stack is the only one that every restricted space maps: what is on it is read by nobody but the
 * panic that ends the machine. Sensitive:
 *
 *   0x00000  data (copy of the template)     up to 32 KiB
 *   0x10000  base stack                      16 KiB
 *   0x30000  dynamic part (mm/percpu.h)      32 KiB
 */
#pragma once
#include <stdint.h>
#include "arch/desc.h"
#include "arch/layout.h"
#include "arch/percpu_dyn.h"

struct percpu_part {
	uint64_t offset, size;
};

/* What of the areas is backed by memory; between the parts are guards. */
static const struct percpu_part percpu_parts[] = {
	{ 0x00000, PERCPU_DATA_SIZE },
	{ 0x10000, 0x2000 },
	{ PERCPU_DYN_OFFSET, PERCPU_DYN_SIZE },
};
static const struct percpu_part percpu_sensitive_parts[] = {
	{ 0x00000, PERCPU_DATA_SIZE },
	{ 0x10000, 0x4000 },
	{ PERCPU_DYN_OFFSET, PERCPU_DYN_SIZE },
};
#define PERCPU_PART_STACK 1 /* index of the stack, in both */
_Static_assert(PERCPU_DYN_OFFSET + PERCPU_DYN_SIZE < PERCPU_STRIDE, "a guard before the next CPU");

static inline uint64_t percpu_area(uint32_t cpu)
{
	return PERCPU_BASE + cpu * PERCPU_STRIDE;
}

static inline uint64_t percpu_sensitive_area(uint32_t cpu)
{
	return PERCPU_SENSITIVE_BASE + cpu * PERCPU_STRIDE;
}

static inline uint64_t percpu_df_stack_top(uint32_t cpu)
{
	const struct percpu_part *p = &percpu_parts[PERCPU_PART_STACK];

	return percpu_area(cpu) + p->offset + p->size;
}

static inline uint64_t percpu_base_stack_top(uint32_t cpu)
{
	const struct percpu_part *p = &percpu_sensitive_parts[PERCPU_PART_STACK];

	return percpu_sensitive_area(cpu) + p->offset + p->size;
}

/* Copies both templates into the areas of @cpu, which are mapped, and points GS base there. */
void percpu_init(uint32_t cpu);
