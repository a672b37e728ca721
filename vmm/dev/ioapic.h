/* SPDX-License-Identifier: MIT */
/*
 * An I/O APIC of 24 pins. Intel 82093AA data sheet, "I/O Advanced Programmable Interrupt Controller (IOAPIC)". It says
 * which messages are to be sent, and whoever calls sends them: what comes of one goes back by ioapic_sent(). LOCAL memory of
 * a VM; calls do not overlap.
 *
 * A pin is asserted or not: its polarity is kept and has no effect. Arbitration is nobody's business.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "vmm/lapic.h"

#define IOAPIC_PAGE 0xfec00000UL
#define IOAPIC_PINS 24

/* Of an entry. */
#define IOAPIC_LEVEL  (1UL << 15)
#define IOAPIC_MASKED (1UL << 16)

struct ioapic {
	uint64_t entry[IOAPIC_PINS]; /* redirection table, as it is read */
	uint32_t lines;		     /* asserted pins, a bit each */
	uint32_t due;		     /* pins that have a message to send */
	uint32_t id;
	uint8_t select; /* IOREGSEL */
};

/* After a reset: everything masked. The levels of its pins are what they were. */
void ioapic_init(struct ioapic *io);

/* An access of @size bytes at offset @at of its page. What is no register reads 0; writes are of 32 bits, but for IOREGSEL. */
uint32_t ioapic_read(const struct ioapic *io, unsigned int at, unsigned int size);
void ioapic_write(struct ioapic *io, unsigned int at, unsigned int size, uint32_t value);

void ioapic_set(struct ioapic *io, unsigned int pin, bool asserted);
/* The pin is released, and asserted again. */
void ioapic_pulse(struct ioapic *io, unsigned int pin);
/* Whether an edge at @pin would send a message. Inline: each access to a PIC asks. */
static inline bool ioapic_wants(const struct ioapic *io, unsigned int pin)
{
	return !(io->entry[pin] & (IOAPIC_MASKED | IOAPIC_LEVEL));
}
/* A local APIC has ended a level-triggered interrupt of this vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* The pin with the next message to be sent, -1 if there is none; then whether anybody has taken it. */
int ioapic_next(const struct ioapic *io, struct lapic_message *out);
void ioapic_sent(struct ioapic *io, unsigned int pin, bool taken);
