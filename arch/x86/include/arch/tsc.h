/* SPDX-License-Identifier: MIT */
/* The time-stamp counter, the clock of everything that is measured. */
#pragma once
#include <stdint.h>

/* Measures the TSC against the PIT, or takes CPUID's word where there is no PIT. Once, at boot. */
void tsc_init(void);
/* TSC ticks per millisecond; never 0. */
uint64_t tsc_khz(void);
/* How it was found: "pit" or "cpuid" or "guess". */
const char *tsc_source(void);
