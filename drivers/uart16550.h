/* SPDX-License-Identifier: MIT */
/* The 16550 serial port, polled. Keeps no state: all of it is in the chip. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Sets 115200 8N1, FIFOs on, interrupts off. False if no UART answers at @port. */
bool uart16550_init(uint16_t port);

/*
 * Sends one byte if there is room, which it waits for, for a bounded time, if it may.
 * False: the byte is lost.
 */
bool uart16550_put(uint16_t port, uint8_t byte, bool may_wait);

/* Waits, for a bounded time, until the last byte is out on the wire. */
void uart16550_drain(uint16_t port);
