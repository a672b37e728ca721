/* SPDX-License-Identifier: MIT */
/* Where text goes. Provides console_write() (lib/log.h). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Starts output on COM1 at 115200 8N1; console_select then moves it to what
 * "console=" says: com1, com2 or a port number. False, and output stays where it is,
 * if @name is none of them or no UART answers there.
 */
void console_init(void);
bool console_select(const char *name, size_t len);

/* Waits, for a bounded time, until the last byte has left the UART. */
void console_drain(void);

/*
 * ---- Input, for one reader: the boot processor (boot/monitor.h) ----
 *
 * What is typed may be meant for a guest, a password for one; so what has been received waits in sensitive memory.
 * Unrestricted, interrupts off.
 */

/* The ISA interrupt of the console's port, 0 if it is not known. */
unsigned int console_irq(void);
/* Input interrupts from here on. */
void console_listen(void);
/* Whether something that was typed waits to be taken. */
bool console_has_input(void);
/* Takes the next byte that was typed; false if there is none. */
bool console_get(uint8_t *byte);
/*
 * From here to console_listen_while(false), while this CPU writes, it takes what is received: the UART holds 16 bytes of
 * it, and a line is longer. All writes of this CPU are unrestricted meanwhile.
 */
void console_listen_while(bool writing);
/* Bytes that were typed and lost since the last call, or at least 1 for a number that the UART does not tell. */
unsigned int console_lost(void);

/*
 * ---- Rows that are not whole lines yet ----
 *
 * Writes bytes as they are. A row is its owner's, a number other than 0, from its first byte to its line end; where @owner's
 * last row has been ended by somebody else's line, or by a line end, the bytes begin a new one, with @prefix before them. Any context.
 */
#define ROW_OF_MONITOR 1u
#define ROW_OF_VM(id)  (2u + (id)) /* by its owner's number */
void console_put(uint32_t owner, const char *prefix, const char *bytes, size_t len);
/* Whether the row that the cursor is in is @owner's. */
bool console_row_is(uint32_t owner);

/*
 * Lines go to another port from here on (com1, com2, a number), until console_divert(NULL, 0). False if no UART answers
 * there. Nobody else writes meanwhile (arch/world.h).
 */
bool console_divert(const char *name, size_t len);
