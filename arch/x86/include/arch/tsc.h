/* SPDX-License-Identifier: MIT */
/* The time-stamp counter, the clock of everything that is measured. */
#pragma once
#include <stdint.h>

/*
 * Measures the TSC against the PIT or, where there is none, the ACPI PM timer (@pm_timer_port, 0: none);
 * failing both, takes CPUID's word. Once, at boot.
 */
void tsc_init(uint16_t pm_timer_port);
/* TSC ticks per millisecond; never 0. */
uint64_t tsc_khz(void);
/* How it was found: "pit", "pm-timer", "cpuid" or "guess". */
const char *tsc_source(void);
