/* SPDX-License-Identifier: MIT */
/*
 * A guest's COM1: a 16550 whose transmitter is always ready and which receives nothing.
 * What it sends is printed line by line as "[name] text". No interrupts yet.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1_BASE 0x3f8
#define COM1_NR	  8

struct vm;

struct com1 {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t loop_data; /* what loopback mode has sent to itself */
	bool loop_full;
	char line[256]; /* escaped, not yet printed */
	size_t len;
};

/* @reg: 0 to 7. */
uint8_t com1_read(struct vm *vm, unsigned int reg);
void com1_write(struct vm *vm, unsigned int reg, uint8_t value);
/* Prints what of a line there is. */
void com1_flush(struct vm *vm);
