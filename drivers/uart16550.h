/* SPDX-License-Identifier: MIT */
/* The 16550 serial port, polled. Keeps no state: all of it is in the chip. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Sets 115200 8N1, FIFOs on, interrupts off. False if no UART answers at @port. */
bool uart16550_init(uint16_t port);

/* What the next two return: any of these. */
#define UART_SENT     1u
#define UART_RECEIVED 2u
#define UART_OVERRUN \
	4u /* received bytes were lost since this was last said: nobody took them in time */

/*
 * Sends one byte if there is room, which it waits for, for a bounded time, if it may.
 * Without UART_SENT: the byte is lost.
 */
unsigned int uart16550_put(uint16_t port, uint8_t byte, bool may_wait);
/* Takes a byte that has been received, if there is one. */
unsigned int uart16550_get(uint16_t port, uint8_t *byte);
/* From here on a byte that has been received interrupts: an edge, whenever there was none before. */
void uart16550_listen(uint16_t port);

/* Waits, for a bounded time, until the last byte is out on the wire. */
void uart16550_drain(uint16_t port);
