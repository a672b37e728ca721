/* SPDX-License-Identifier: MIT */
/* The end of the machine after a bug of our own: say why, then stop. */
#pragma once
#include "lib/compiler.h"

/*
 * Prints one line of reason, a symbolised backtrace and the @panic record, then
 * ends the machine with the panic verdict. Any context, any lock held; a panic
 * inside a panic prints nothing and stops (after a bounded wait, in case it is
 * another CPU that is still reporting).
 */
__noreturn void panic(const char *fmt, ...) __printf(1, 2);

/* The same for a trap: the backtrace begins at @rip, with the frame pointer that it had. */
__noreturn void panic_at(unsigned long rip, unsigned long rbp, const char *fmt, ...) __printf(3, 4);

/* REQUIRED of drivers/exitdev.c: stops the machine, telling an emulator that we panicked. */
__noreturn void panic_stop(void);

/* REQUIRED of vmm/report_trace.c: prints what is known of the last events, as text. Reads nothing unasked. */
void panic_context(void);

/* REQUIRED of mm/hostmap.c: whether 8 bytes at @hva can be read without a fault. */
_Bool panic_can_read(unsigned long hva);
