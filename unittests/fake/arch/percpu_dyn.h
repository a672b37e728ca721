/* SPDX-License-Identifier: MIT */
/* The dynamic parts of the per-CPU areas of both halves in one array; the test defines it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#define PERCPU_DYN_OFFSET 0x30000UL
#define PERCPU_DYN_SIZE	  0x8000UL

#define FAKE_PERCPU_CPUS 3
extern uint8_t fake_percpu[2][FAKE_PERCPU_CPUS][PERCPU_STRIDE];

static inline uint64_t percpu_dyn_area(bool sensitive)
{
	return (uint64_t)fake_percpu[sensitive][0] + PERCPU_DYN_OFFSET;
}
