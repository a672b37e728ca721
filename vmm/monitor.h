/* SPDX-License-Identifier: MIT */
/*
 * The serial monitor's place in the scheduler (monitor=on). The boot processor looks after the console between two turns; an
 * interrupt of its port ends the turn. So nothing of it is on the way of an exit.
 */
#pragma once
#include <stdbool.h>

/*
 * From here on monitor_turn() is called, and the machine stays when no VM is left. @polls: input does not interrupt,
 * so that it is looked for at every end of a turn, and no turn nor rest is longer than sched_slice(). Boot processor, behind
 * sched_init(), before VMs are started.
 */
void sched_monitor_begin(bool polls);
/* The machine ends when no VM is left. Boot processor. */
void sched_monitor_end(void);

/*
 * REQUIRED of boot/monitor.c: does what has been typed. Boot processor, base stack, unrestricted, interrupts off, no lock
 * held.
 */
void monitor_turn(void);
