/* SPDX-License-Identifier: MIT */
/* PCI configuration: words of 32 bits, most of them constant. */
#include "vmm/dev/pci.h"
#include "lib/bitops.h"

/* Ports. */
#define REG_ADDRESS 0
#define REG_RESET   1
#define REG_DATA    4

#define ADDRESS_WRITTEN 0x80fffffc
#define ADDRESS_ENABLE	0x80000000
#define RESET_WRITTEN	0x06
#define RESET_NOW	0x04

/* Words of the configuration space. */
enum {
	WORD_ID = 0,
	WORD_COMMAND = 1,
	WORD_CLASS = 2,
	WORD_BAR = 4,
	WORD_SUBSYSTEM = 11,
	WORD_INTERRUPT = 15
};

#define COMMAND_IO     0x0001
#define COMMAND_MASTER 0x0004
#define BAR_IS_IO      0x1
#define BAR_FIRST      0xc000 /* of slot 0; the others follow */
#define PIN_A	       0x0100

/*
 * Virtio 1.2, "Legacy Interfaces: A Note on PCI Device Discovery": transitional device IDs, revision 0, and the kind of
 * device as the subsystem's ID. The bridge is QEMU's, for which no system has a workaround.
 */
static const struct {
	uint32_t id, class, subsystem;
	bool has_bar;
} kinds[PCI_SLOTS] = {
	[PCI_BRIDGE] = { 0x00081b36, 0x06000000, 0x11001af4, false },
	[PCI_CONSOLE] = { 0x10031af4, 0x07800000, 0x00031af4, true },
	[PCI_DISK] = { 0x10011af4, 0x01000000, 0x00021af4, true },
};

void pci_plug(struct pci *p, enum pci_slot slot, uint8_t line)
{
	p->slot[slot] = (struct pci_function){ .present = true, .line = line };
	if (!kinds[slot].has_bar)
		return;
	p->slot[slot].command = COMMAND_IO;
	p->slot[slot].bar = (uint16_t)(BAR_FIRST + slot * PCI_BAR_SIZE);
}

enum pci_slot pci_slot_at(const struct pci *p, uint32_t port)
{
	unsigned int slot;

	for (slot = 0; slot < PCI_SLOTS; slot++)
		if ((p->slot[slot].command & COMMAND_IO) &&
		    p->slot[slot].bar == ALIGN_DOWN(port, PCI_BAR_SIZE))
			break;
	return slot;
}

/* Where the address points: bus 0, function 0 of a device that is there, else PCI_SLOTS. */
static enum pci_slot addressed(const struct pci *p)
{
	uint32_t slot = p->address >> 11 & 0x1f, bus = p->address >> 16 & 0xff;

	if (!(p->address & ADDRESS_ENABLE) || bus || (p->address & 0x700) || slot >= PCI_SLOTS ||
	    !p->slot[slot].present)
		return PCI_SLOTS;
	return slot;
}

static uint32_t read_word(const struct pci *p, enum pci_slot slot)
{
	const struct pci_function *f = &p->slot[slot];

	switch (p->address >> 2 & 0x3f) {
	case WORD_ID:
		return kinds[slot].id;
	case WORD_COMMAND:
		return f->command;
	case WORD_CLASS:
		return kinds[slot].class;
	case WORD_BAR:
		return kinds[slot].has_bar ? f->bar | BAR_IS_IO : 0;
	case WORD_SUBSYSTEM:
		return kinds[slot].subsystem;
	case WORD_INTERRUPT:
		return kinds[slot].has_bar ? PIN_A | f->line : 0;
	default:
		return 0;
	}
}

static void write_word(struct pci *p, enum pci_slot slot, uint32_t value)
{
	struct pci_function *f = &p->slot[slot];

	if (!kinds[slot].has_bar)
		return;
	switch (p->address >> 2 & 0x3f) {
	case WORD_COMMAND:
		f->command = value & (COMMAND_IO | COMMAND_MASTER);
		break;
	case WORD_BAR: /* its upper half is 0: there are no such ports */
		f->bar = (uint16_t)ALIGN_DOWN(value, PCI_BAR_SIZE);
		break;
	case WORD_INTERRUPT:
		f->line = (uint8_t)value;
		break;
	default:
		break;
	}
}

/* Whether the bytes are of the data port, and of it only. */
static bool is_data(unsigned int reg, unsigned int size)
{
	return reg >= REG_DATA && reg + size <= REG_DATA + 4;
}

/* 0xcf8 is the address for accesses of 32 bits only; narrower ones go to what else is there. */
uint32_t pci_read(const struct pci *p, unsigned int reg, unsigned int size)
{
	enum pci_slot slot = addressed(p);

	if (reg == REG_ADDRESS && size == 4)
		return p->address;
	if (reg == REG_RESET && size == 1)
		return p->reset;
	if (is_data(reg, size) && slot != PCI_SLOTS)
		return read_word(p, slot) >> 8 * (reg - REG_DATA);
	return UINT32_MAX;
}

/* A part of a word is written as the whole: the bytes beside it read as they are. */
static void write_data(struct pci *p, unsigned int byte, unsigned int size, uint32_t value)
{
	enum pci_slot slot = addressed(p);
	uint32_t mask = (uint32_t)(BITS(8 * size - 1, 0) << 8 * byte);

	if (slot != PCI_SLOTS)
		write_word(p, slot, (read_word(p, slot) & ~mask) | (value << 8 * byte & mask));
}

bool pci_write(struct pci *p, unsigned int reg, unsigned int size, uint32_t value)
{
	bool reset =
		reg == REG_RESET && size == 1 && !(p->reset & RESET_NOW) && (value & RESET_NOW);

	if (reg == REG_ADDRESS && size == 4)
		p->address = value & ADDRESS_WRITTEN;
	if (reg == REG_RESET && size == 1)
		p->reset = value & RESET_WRITTEN;
	if (is_data(reg, size))
		write_data(p, reg - REG_DATA, size, value);
	return reset;
}
