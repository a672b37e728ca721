/* SPDX-License-Identifier: MIT */
/* The 16550 serial port, polled. Register names are those of the PC16550D data sheet. */
#include "arch/insn.h"
#include "drivers/uart16550.h"

enum {
	RBR = 0, /* receive */
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
#define IER_RECEIVED	     0x01
#define MCR_DTR_RTS	     0x03
#define MCR_OUT2	     0x08 /* on a PC the gate of its interrupt */
#define LSR_DATA	     0x01
#define LSR_OVERRUN	     0x02 /* until LSR is read */
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

/* What LSR says at last, with LSR_OVERRUN if it ever did; without @bit: time is over. */
static uint8_t wait_for(uint16_t port, uint8_t bit)
{
	uint8_t lsr = 0;

	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		lsr = inb(port + LSR) | (lsr & LSR_OVERRUN);
		if (lsr & bit)
			break;
		cpu_pause();
	}
	return lsr;
}

bool uart16550_init(uint16_t port)
{
	if (inb(port + LSR) == LSR_ABSENT)
		return false;
	/* Clearing the FIFO would lose what the loader has in it. No UART stays busy for ever. */
	if (!(wait_for(port, LSR_TEMT) & LSR_TEMT))
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

unsigned int uart16550_put(uint16_t port, uint8_t byte, bool may_wait)
{
	uint8_t lsr = inb(port + LSR);

	if (!(lsr & LSR_THRE) && may_wait)
		lsr = wait_for(port, LSR_THRE) | (lsr & LSR_OVERRUN);
	if (lsr & LSR_THRE)
		outb(port + THR, byte);
	return (lsr & LSR_THRE ? UART_SENT : 0) | (lsr & LSR_OVERRUN ? UART_OVERRUN : 0);
}

unsigned int uart16550_get(uint16_t port, uint8_t *byte)
{
	uint8_t lsr = inb(port + LSR);

	if (lsr == LSR_ABSENT)
		return 0;
	if (lsr & LSR_DATA)
		*byte = inb(port + RBR);
	return (lsr & LSR_DATA ? UART_RECEIVED : 0) | (lsr & LSR_OVERRUN ? UART_OVERRUN : 0);
}

void uart16550_listen(uint16_t port)
{
	outb(port + MCR, MCR_DTR_RTS | MCR_OUT2);
	outb(port + IER, IER_RECEIVED);
}

void uart16550_drain(uint16_t port)
{
	wait_for(port, LSR_TEMT);
}
