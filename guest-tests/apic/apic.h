/* SPDX-License-Identifier: MIT */
/* The parts of this test. */
#pragma once

#include "guest-tests/lib/apic.h"

/* Waits with interrupts on until `irqs` have come, at most `ticks`. */
void wait_irqs(u32 irqs, u64 ticks);

void check_modes(void);	     /* main.c */
void check_interrupts(void); /* irq.c */
void check_timer(void);	     /* timer.c */
