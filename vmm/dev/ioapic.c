/* SPDX-License-Identifier: MIT */
/* I/O APIC: registers behind an index, and what an entry makes of its pin. */
#include "vmm/dev/ioapic.h"
#include "lib/bitops.h"

/* The two registers of the page, and those behind them. */
#define AT_SELECT   0x00
#define AT_WINDOW   0x10
#define REG_ID	    0x00
#define REG_VERSION 0x01
#define REG_ARB	    0x02
#define REG_TABLE   0x10 /* two for each entry, the lower half first */

#define VERSION (0x11U | (IOAPIC_PINS - 1) << 16)
#define ID_BITS 0x0f000000U

#define ENTRY_VECTOR	 BITS(7, 0)
#define ENTRY_MODE_SHIFT 8
#define ENTRY_LOGICAL	 BIT(11)
#define ENTRY_REMOTE_IRR BIT(14) /* a local APIC has taken it and not ended it */
#define ENTRY_DEST_SHIFT 56
/* All but delivery status, which reads 0, and remote IRR. */
#define ENTRY_WRITTEN (BITS(63, 56) | BITS(16, 15) | BIT(13) | BITS(11, 0))

static uint32_t bit_of(unsigned int pin)
{
	return 1U << pin;
}

/* A level counts as long as it is there and nobody is serving it. */
static void look_at_level(struct ioapic *io, unsigned int pin)
{
	const uint64_t counts = IOAPIC_LEVEL | ENTRY_REMOTE_IRR | IOAPIC_MASKED;

	if ((io->lines & bit_of(pin)) && (io->entry[pin] & counts) == IOAPIC_LEVEL)
		io->due |= bit_of(pin);
}

/* "Interrupt Mask": an edge on a masked pin is neither delivered nor held pending. */
void ioapic_set(struct ioapic *io, unsigned int pin, bool asserted)
{
	bool was = io->lines & bit_of(pin);

	if (!asserted) {
		io->lines &= ~bit_of(pin);
		return;
	}
	io->lines |= bit_of(pin);
	if (!was && ioapic_wants(io, pin))
		io->due |= bit_of(pin);
	look_at_level(io, pin);
}

void ioapic_pulse(struct ioapic *io, unsigned int pin)
{
	ioapic_set(io, pin, false);
	ioapic_set(io, pin, true);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *e = &io->entry[pin];

		if (!(*e & ENTRY_REMOTE_IRR) || (*e & ENTRY_VECTOR) != vector)
			continue;
		*e &= ~ENTRY_REMOTE_IRR;
		look_at_level(io, pin);
	}
}

int ioapic_next(const struct ioapic *io, struct lapic_message *out)
{
	unsigned int pin;
	uint64_t e;

	if (!io->due)
		return -1;
	pin = bit_lowest(io->due);
	e = io->entry[pin];
	*out = (struct lapic_message){
		.dest = (uint32_t)(e >> ENTRY_DEST_SHIFT),
		.logical = e & ENTRY_LOGICAL,
		.mode = (enum lapic_mode)(e >> ENTRY_MODE_SHIFT & 7),
		.vector = (uint8_t)(e & ENTRY_VECTOR),
		.level = e & IOAPIC_LEVEL,
	};
	if (out->dest == 0xff)
		out->dest = LAPIC_BROADCAST;
	return (int)pin;
}

/* "Remote IRR": set when a local APIC accepts the interrupt. A level that nobody takes waits for the next look. */
void ioapic_sent(struct ioapic *io, unsigned int pin, bool taken)
{
	io->due &= ~bit_of(pin);
	if (taken && (io->entry[pin] & IOAPIC_LEVEL))
		io->entry[pin] |= ENTRY_REMOTE_IRR;
}

/* Whose half of an entry IOREGSEL selects; IOAPIC_PINS: no pin's. */
static unsigned int selected_pin(const struct ioapic *io)
{
	unsigned int select = io->select, pins = IOAPIC_PINS;

	return select < REG_TABLE ? pins : MIN((select - REG_TABLE) / 2, pins);
}

static uint32_t read_reg(const struct ioapic *io)
{
	unsigned int pin = selected_pin(io);

	switch (io->select) {
	case REG_ID:
	case REG_ARB:
		return io->id;
	case REG_VERSION:
		return VERSION;
	default:
		if (pin == IOAPIC_PINS)
			return 0;
		return (uint32_t)(io->entry[pin] >> (io->select & 1 ? 32 : 0));
	}
}

/*
 * Systems that know of no EOI register end an interrupt by making the entry edge-triggered for a moment: remote IRR has
 * no meaning then, and is cleared. A message that waits under the old entry is not sent under the new one.
 */
static void write_entry(struct ioapic *io, unsigned int pin, bool high, uint32_t value)
{
	uint64_t *e = &io->entry[pin], remote_irr = *e & ENTRY_REMOTE_IRR;

	*e = high ? (uint64_t)value << 32 | (uint32_t)*e : (*e & BITS(63, 32)) | value;
	*e = (*e & ENTRY_WRITTEN) | (*e & IOAPIC_LEVEL ? remote_irr : 0);
	io->due &= ~bit_of(pin);
	look_at_level(io, pin);
}

static void write_reg(struct ioapic *io, uint32_t value)
{
	unsigned int pin = selected_pin(io);

	if (io->select == REG_ID)
		io->id = value & ID_BITS;
	else if (pin < IOAPIC_PINS)
		write_entry(io, pin, io->select & 1, value);
}

uint32_t ioapic_read(const struct ioapic *io, unsigned int at, unsigned int size)
{
	unsigned int byte = at & 0xf;
	uint32_t value = 0;

	if (byte >= 4 || size > 4 - byte)
		return 0;
	if (at < AT_WINDOW)
		value = io->select;
	else if (at < AT_WINDOW + 4)
		value = read_reg(io);
	return value >> 8 * byte & (uint32_t)BITS(8 * size - 1, 0);
}

void ioapic_write(struct ioapic *io, unsigned int at, unsigned int size, uint32_t value)
{
	if (at == AT_SELECT)
		io->select = (uint8_t)value;
	else if (at == AT_WINDOW && size == 4)
		write_reg(io, value);
}

void ioapic_init(struct ioapic *io)
{
	uint32_t lines = io->lines;

	*io = (struct ioapic){ .lines = lines };
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = IOAPIC_MASKED;
}
