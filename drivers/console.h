/* SPDX-License-Identifier: MIT */
/* Where text goes. Provides console_write() (lib/log.h). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * Starts output on COM1 at 115200 8N1; console_select then moves it to what
 * "console=" says: com1, com2 or a port number. False, and output stays where it is,
 * if @name is none of them or no UART answers there.
 */
void console_init(void);
bool console_select(const char *name, size_t len);

/* Waits, for a bounded time, until the last byte has left the UART. */
void console_drain(void);
