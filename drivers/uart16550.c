/* SPDX-License-Identifier: MIT */
/* The 16550 serial port, polled. Register names are those of the PC16550D data sheet. */
#include "arch/insn.h"
#include "drivers/uart16550.h"

enum {
	THR = 0, /* transmit; with LCR_DLAB the divisor's low byte */
	IER = 1, /* interrupt enable; with LCR_DLAB the divisor's high byte */
	FCR = 2,
	LCR = 3,
	MCR = 4,
	LSR = 5,
};

#define FCR_ENABLE_AND_CLEAR 0x07
#define LCR_8N1		     0x03
#define LCR_DLAB	     0x80
#define MCR_DTR_RTS	     0x03
#define LSR_THRE	     0x20 /* room for a byte */
#define LSR_TEMT	     0x40 /* the shift register is empty too */
#define LSR_ABSENT	     0xff /* a port that nobody decodes floats high */

#define DIVISOR_115200 1

/*
 * A full FIFO of 16 bytes takes 1.4 ms; a port read takes about 1 us on hardware and a
 * tick or two on Bochs, whose clock is some 50 ticks to the microsecond. The rest is for
 * an emulator whose output pipe is full.
 */
#define POLLS_MAX 1000000

static bool wait_for(uint16_t port, uint8_t bit)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if (inb(port + LSR) & bit)
			return true;
		cpu_pause();
	}
	return false;
}

bool uart16550_init(uint16_t port)
{
	if (inb(port + LSR) == LSR_ABSENT)
		return false;
	/* Clearing the FIFO would lose what the loader has in it. No UART stays busy for ever. */
	if (!wait_for(port, LSR_TEMT))
		return false;
	outb(port + IER, 0);
	outb(port + LCR, LCR_DLAB);
	outb(port + THR, DIVISOR_115200);
	outb(port + IER, 0);
	/* Always set: Bochs' BIOS leaves 5 data bits here, which mangles every letter. */
	outb(port + LCR, LCR_8N1);
	outb(port + FCR, FCR_ENABLE_AND_CLEAR);
	outb(port + MCR, MCR_DTR_RTS);
	return true;
}

bool uart16550_put(uint16_t port, uint8_t byte, bool may_wait)
{
	if (!(inb(port + LSR) & LSR_THRE) && !(may_wait && wait_for(port, LSR_THRE)))
		return false;
	outb(port + THR, byte);
	return true;
}

void uart16550_drain(uint16_t port)
{
	wait_for(port, LSR_TEMT);
}
