/* SPDX-License-Identifier: MIT */
/*
 * COM1: the registers and interrupts of a 16550 (PC16550D data sheet, "Summary of registers", "Interrupt control
 * functions"). No time passes in it: what is written has been sent. Drivers test it with the scratch register and with
 * loopback, so both work. On a PC the interrupt passes a gate that OUT2 opens.
 */
#include "vmm/com1.h"
#include "drivers/console.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "vmm/vm.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX	  0x01
#define IER_TX	  0x02
#define IER_LINE  0x04
#define IER_MODEM 0x08
#define IER_ALL	  0x0f

/* Bits 3:0, from the highest priority to the lowest. */
#define IIR_LINE    0x06
#define IIR_RX	    0x04
#define IIR_TIMEOUT 0x0c /* bytes below the trigger level, and no further one comes */
#define IIR_TX	    0x02
#define IIR_MODEM   0x00
#define IIR_NONE    0x01
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_RX_CLEAR 0x02
#define LCR_DLAB     0x80
#define MCR_OUT2     0x08
#define MCR_LOOP     0x10
#define MCR_ALL	     0x1f
#define LSR_DATA     0x01
#define LSR_OVERRUN  0x02
#define LSR_TX_EMPTY 0x60 /* holding register and shift register */
#define MSR_READY    0xb0 /* carrier, data set ready, clear to send */
#define MSR_RI	     0x40 /* its change is reported when it ends */

#define ESCAPE_LEN 4 /* \xNN */
#define COLUMNS	   200

void com1_flush(struct vm *vm)
{
	struct com1 *c = &vm->com1;

	if (!c->len)
		return;
	log_info("[%s] %.*s", vm->options.name, (int)c->len, c->line);
	c->len = 0;
}

static bool is_printable(uint8_t byte)
{
	return (byte >= ' ' && byte <= '~') || byte == '\t';
}

static void show(struct vm *vm, const char *bytes, size_t len)
{
	char prefix[sizeof(vm->options.name) + 3];

	fmt_print(prefix, sizeof(prefix), "[%s] ", vm->options.name);
	console_put(ROW_OF_VM(vm->owner->id), prefix, bytes, len);
}

static void end_row(struct vm *vm)
{
	show(vm, "\r\n", 2);
	vm->com1.column = 0;
}

/* A backspace goes over what the guest has written in this row itself, and never over its name. */
static void show_byte(struct vm *vm, uint8_t byte)
{
	struct com1 *c = &vm->com1;
	char text[ESCAPE_LEN + 1] = { (char)byte };
	size_t len = 1;

	if (!console_row_is(ROW_OF_VM(vm->owner->id)))
		c->column = 0;
	if (byte == '\n') {
		end_row(vm);
		return;
	}
	if (byte == '\b') {
		if (!c->column)
			return;
		c->column--;
	} else {
		if (!is_printable(byte))
			len = fmt_print(text, sizeof(text), "\\x%02x", byte);
		c->column += (uint32_t)len;
	}
	show(vm, text, len);
	if (c->column >= COLUMNS)
		end_row(vm);
}

void com1_attach(struct vm *vm, bool on)
{
	struct com1 *c = &vm->com1;

	c->attached = on;
	if (!on || !c->len)
		return;
	show(vm, c->line, c->len);
	c->column = (uint32_t)c->len;
	c->len = 0;
}

/*
 * A guest's text must not be mistaken for anything else on the console: it has "[name] " before
 * it, and what is not printable is escaped.
 */
void com1_text(struct vm *vm, uint8_t byte)
{
	struct com1 *c = &vm->com1;

	if (byte == '\r')
		return;
	if (unlikely(c->attached)) {
		show_byte(vm, byte);
		return;
	}
	if (byte == '\n') {
		if (c->len)
			com1_flush(vm);
		else
			log_info("[%s]", vm->options.name);
		return;
	}
	if (is_printable(byte))
		c->line[c->len++] = (char)byte;
	else
		c->len += fmt_print(c->line + c->len, ESCAPE_LEN + 1, "\\x%02x", byte);
	if (c->len + ESCAPE_LEN + 1 > sizeof(c->line))
		com1_flush(vm);
}

static unsigned int rx_room(const struct com1 *c)
{
	return c->fcr & FCR_ENABLE ? COM1_FIFO : 1;
}

static unsigned int rx_trigger(const struct com1 *c)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return c->fcr & FCR_ENABLE ? levels[c->fcr >> 6] : 1;
}

static uint8_t rx_take(struct com1 *c)
{
	uint8_t byte = c->rx[c->rx_first];

	if (!c->rx_count)
		return 0;
	c->rx_first = (uint8_t)((c->rx_first + 1) % COM1_FIFO);
	c->rx_count--;
	return byte;
}

static void rx_put(struct com1 *c, uint8_t byte)
{
	if (c->rx_count >= rx_room(c)) {
		c->overrun = true;
		return;
	}
	c->rx[(c->rx_first + c->rx_count) % COM1_FIFO] = byte;
	c->rx_count++;
}

/* What interrupts, the most urgent first: IIR without the bits that tell FIFOs. */
static uint8_t interrupt_id(const struct com1 *c)
{
	if ((c->ier & IER_LINE) && c->overrun)
		return IIR_LINE;
	if ((c->ier & IER_RX) && c->rx_count)
		return c->rx_count >= rx_trigger(c) ? IIR_RX : IIR_TIMEOUT;
	if ((c->ier & IER_TX) && c->sent)
		return IIR_TX;
	if ((c->ier & IER_MODEM) && c->modem)
		return IIR_MODEM;
	return IIR_NONE;
}

static bool gate_is_open(const struct com1 *c)
{
	return (c->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2; /* in loopback mode OUT2 is inside */
}

static void update_irq(struct vm *vm)
{
	struct com1 *c = &vm->com1;
	bool irq = interrupt_id(c) != IIR_NONE && gate_is_open(c);

	if (irq == c->irq)
		return;
	c->irq = irq;
	platform_set_irq(vm, IRQ_COM1, irq);
}

/* In loopback mode the modem outputs DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
static uint8_t modem_levels(const struct com1 *c)
{
	uint8_t m = c->mcr;

	if (!(m & MCR_LOOP))
		return MSR_READY;
	return (uint8_t)((m & 1) << 5 | (m & 2) << 3 | (m & 0xc) << 4);
}

static void write_mcr(struct com1 *c, uint8_t value)
{
	uint8_t before = modem_levels(c), changed;

	c->mcr = value & MCR_ALL;
	changed = before ^ modem_levels(c);
	if (!(before & MSR_RI))
		changed &= (uint8_t)~MSR_RI;
	c->modem |= changed >> 4;
}

static uint8_t read_iir(struct com1 *c)
{
	uint8_t id = interrupt_id(c);

	if (id == IIR_TX)
		c->sent = false;
	return c->fcr & FCR_ENABLE ? id | IIR_FIFO : id;
}

static uint8_t read_lsr(struct com1 *c)
{
	uint8_t lsr = LSR_TX_EMPTY | (c->rx_count ? LSR_DATA : 0) | (c->overrun ? LSR_OVERRUN : 0);

	c->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct com1 *c)
{
	uint8_t msr = modem_levels(c) | c->modem;

	c->modem = 0;
	return msr;
}

static uint8_t read_register(struct com1 *c, unsigned int reg)
{
	bool dlab = c->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? c->dll : rx_take(c);
	case REG_IER:
		return dlab ? c->dlm : c->ier;
	case REG_IIR_FCR:
		return read_iir(c);
	case REG_LCR:
		return c->lcr;
	case REG_MCR:
		return c->mcr;
	case REG_LSR:
		return read_lsr(c);
	case REG_MSR:
		return read_msr(c);
	default:
		return c->scr;
	}
}

/* In loopback mode the receiver is not connected. */
static bool rx_has_room(const struct com1 *c)
{
	return c->rx_count < rx_room(c) && !(c->mcr & MCR_LOOP);
}

/*
 * What waits comes in when the receiver is empty, as much as it holds: the line has fallen then, so that it is another
 * edge.
 */
static void let_in(struct vm *vm)
{
	struct com1 *c = &vm->com1;
	struct typed *t = &vm->typed;
	uint8_t bytes[COM1_FIFO];
	uint32_t nr;

	if (likely(!t->count) || t->to != VM_INPUT_COM1 || c->rx_count || !rx_has_room(c))
		return;
	nr = typed_peek(t, bytes, rx_room(c));
	for (uint32_t i = 0; i < nr; i++)
		rx_put(c, bytes[i]);
	typed_drop(t, nr);
	update_irq(vm);
}

uint8_t com1_read(struct vm *vm, unsigned int reg)
{
	uint8_t value = read_register(&vm->com1, reg);

	update_irq(vm);
	let_in(vm);
	return value;
}

/* The line falls while the byte is on its way, so that one interrupt follows another as an edge. */
static void write_data(struct vm *vm, uint8_t value)
{
	struct com1 *c = &vm->com1;

	if (c->lcr & LCR_DLAB) {
		c->dll = value;
		return;
	}
	c->sent = false;
	update_irq(vm);
	if (c->mcr & MCR_LOOP)
		rx_put(c, value);
	else
		com1_text(vm, value);
	c->sent = true;
}

static void write_ier(struct com1 *c, uint8_t value)
{
	if (c->lcr & LCR_DLAB) {
		c->dlm = value;
		return;
	}
	/* Enabling the interrupt of an empty transmitter raises it. */
	if ((value & IER_TX) && !(c->ier & IER_TX))
		c->sent = true;
	c->ier = value & IER_ALL; /* the upper half reads 0: drivers look */
}

static void write_fcr(struct com1 *c, uint8_t value)
{
	/* Turning the FIFOs on or off empties them too. */
	if ((value & FCR_RX_CLEAR) || ((value ^ c->fcr) & FCR_ENABLE))
		c->rx_count = 0;
	c->fcr = value;
}

void com1_write(struct vm *vm, unsigned int reg, uint8_t value)
{
	struct com1 *c = &vm->com1;

	switch (reg) {
	case REG_DATA:
		write_data(vm, value);
		break;
	case REG_IER:
		write_ier(c, value);
		break;
	case REG_IIR_FCR:
		write_fcr(c, value);
		break;
	case REG_LCR:
		c->lcr = value;
		break;
	case REG_MCR:
		write_mcr(c, value);
		break;
	case REG_SCR:
		c->scr = value;
		break;
	default: /* line and modem status are read-only */
		break;
	}
	update_irq(vm);
	let_in(vm);
	if (likely(vm->typed.to != VM_INPUT_COM1))
		return;
	WRITE_ONCE(vm->typed.may_wake,
		   vm->platform.present && (c->ier & IER_RX) && gate_is_open(c));
}

bool com1_receive(struct vm *vm, uint8_t byte)
{
	struct com1 *c = &vm->com1;

	if (vm->typed.count || !rx_has_room(c))
		return typed_put(&vm->typed, byte);
	rx_put(c, byte);
	update_irq(vm);
	return true;
}
