/* SPDX-License-Identifier: MIT */
/*
 * The serial monitor (monitor=on): commands typed at the console while guests run, and what is typed to guests. docs/monitor.md
 * is its manual. It provides monitor_turn() (vmm/monitor.h). Boot processor only.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Input interrupts (drivers/ioapic.h); otherwise it is polled. Before monitor_begin(). */
void monitor_input_interrupts(void);
/* From here on it listens, and the machine ends by its "quit" only. Behind sched_init(), before VMs are started. */
void monitor_begin(void);
/* What its audits have found. */
uint64_t monitor_violations(void);
