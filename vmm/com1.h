/* SPDX-License-Identifier: MIT */
/*
 * A guest's COM1: a 16550 whose transmitter is always ready. What it sends is printed line by line as "[name] text".
 * LOCAL memory of a VM; every function is restricted, and calls do not overlap.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"

#define COM1_BASE 0x3f8
#define COM1_NR	  8
#define COM1_FIFO 16

struct vm;

struct com1 {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t rx[COM1_FIFO];	    /* received, the oldest at rx_first */
	uint8_t rx_first, rx_count; /* without FIFOs there is room for one */
	bool overrun;		    /* one more has come, by loopback; until LSR is read */
	bool sent;		    /* the transmitter has become empty; until IIR says so */
	uint8_t modem;		    /* bits 3:0 of MSR: what has changed since it was read */
	bool irq;		    /* level of the interrupt line */
	bool attached;		    /* somebody types: what it sends is shown at once */
	uint32_t column;	    /* of its row then, behind the name */
	char line[256];		    /* text, escaped, not yet printed */
	size_t len;
};

/* @reg: 0 to 7. */
uint8_t com1_read(struct vm *vm, unsigned int reg);
void com1_write(struct vm *vm, unsigned int reg, uint8_t value);
/*
 * A byte comes in from outside. It waits (vmm/typed.h) until the receiver is empty, so that none is lost there; false if
 * as many as can wait do already, and then it has not been taken.
 */
__must_check bool com1_receive(struct vm *vm, uint8_t byte);
/* From here on text is shown at once, or (as usual) line by line; vm->lock is held. */
void com1_attach(struct vm *vm, bool on);
/* A byte of text of the guest's, from wherever. */
void com1_text(struct vm *vm, uint8_t byte);
/* Prints what of a line there is. */
void com1_flush(struct vm *vm);
