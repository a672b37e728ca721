/* SPDX-License-Identifier: MIT */
/*
 * Where the dynamic part of the per-CPU areas stands: 32 KiB in each half of each CPU, at the same
 * offset. Unit tests shadow this header. For mm/percpu.h and arch/percpu_area.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#define PERCPU_DYN_OFFSET 0x30000UL
#define PERCPU_DYN_SIZE	  0x8000UL

/* The address of CPU 0's dynamic part of one half; those of the others follow, PERCPU_STRIDE apart. */
static inline uint64_t percpu_dyn_area(bool sensitive)
{
	return (sensitive ? PERCPU_SENSITIVE_BASE : PERCPU_BASE) + PERCPU_DYN_OFFSET;
}
