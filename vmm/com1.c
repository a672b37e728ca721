/* SPDX-License-Identifier: MIT */
/*
 * COM1: the registers of a 16550 (PC16550D data sheet, "Summary of registers"), no time and no
 * interrupts. Drivers test it with the scratch register and with loopback, so both work.
 */
#include "vmm/com1.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "vmm/vm.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define FCR_ENABLE   0x01
#define IIR_NONE     0x01 /* no interrupt pending */
#define IIR_FIFO     0xc0
#define LCR_DLAB     0x80
#define MCR_LOOP     0x10
#define LSR_DATA     0x01
#define LSR_TX_EMPTY 0x60 /* holding register and shift register */
#define MSR_READY    0xb0 /* carrier, data set ready, clear to send */

#define ESCAPE_LEN 4 /* \xNN */

void com1_flush(struct vm *vm)
{
	struct com1 *c = &vm->com1;

	if (!c->len)
		return;
	log_info("[%s] %.*s", vm->options.name, (int)c->len, c->line);
	c->len = 0;
}

/*
 * A guest's text must not be mistaken for anything else on the console: it has "[name] " before
 * it, and what is not printable is escaped.
 */
static void transmit(struct vm *vm, uint8_t byte)
{
	struct com1 *c = &vm->com1;

	if (byte == '\r')
		return;
	if (byte == '\n') {
		if (c->len)
			com1_flush(vm);
		else
			log_info("[%s]", vm->options.name);
		return;
	}
	if ((byte >= ' ' && byte <= '~') || byte == '\t')
		c->line[c->len++] = (char)byte;
	else
		c->len += fmt_print(c->line + c->len, ESCAPE_LEN + 1, "\\x%02x", byte);
	if (c->len + ESCAPE_LEN + 1 > sizeof(c->line))
		com1_flush(vm);
}

static uint8_t take_loop_data(struct com1 *c)
{
	c->loop_full = false;
	return c->loop_data;
}

/* In loopback mode the modem outputs DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
static uint8_t modem_status(const struct com1 *c)
{
	uint8_t m = c->mcr;

	if (!(m & MCR_LOOP))
		return MSR_READY;
	return (uint8_t)((m & 1) << 5 | (m & 2) << 3 | (m & 0xc) << 4);
}

uint8_t com1_read(struct vm *vm, unsigned int reg)
{
	struct com1 *c = &vm->com1;
	bool dlab = c->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? c->dll : take_loop_data(c);
	case REG_IER:
		return dlab ? c->dlm : c->ier;
	case REG_IIR_FCR:
		return c->fcr & FCR_ENABLE ? IIR_NONE | IIR_FIFO : IIR_NONE;
	case REG_LCR:
		return c->lcr;
	case REG_MCR:
		return c->mcr;
	case REG_LSR:
		return c->loop_full ? LSR_TX_EMPTY | LSR_DATA : LSR_TX_EMPTY;
	case REG_MSR:
		return modem_status(c);
	default:
		return c->scr;
	}
}

static void write_data(struct vm *vm, uint8_t value)
{
	struct com1 *c = &vm->com1;

	if (c->lcr & LCR_DLAB) {
		c->dll = value;
	} else if (c->mcr & MCR_LOOP) {
		c->loop_data = value;
		c->loop_full = true;
	} else {
		transmit(vm, value);
	}
}

void com1_write(struct vm *vm, unsigned int reg, uint8_t value)
{
	struct com1 *c = &vm->com1;

	switch (reg) {
	case REG_DATA:
		write_data(vm, value);
		break;
	case REG_IER:
		if (c->lcr & LCR_DLAB)
			c->dlm = value;
		else
			c->ier = value & 0x0f; /* the upper half reads 0: drivers look */
		break;
	case REG_IIR_FCR:
		c->fcr = value;
		break;
	case REG_LCR:
		c->lcr = value;
		break;
	case REG_MCR:
		c->mcr = value & 0x1f;
		break;
	case REG_SCR:
		c->scr = value;
		break;
	default: /* line and modem status are read-only */
		break;
	}
}
