/* SPDX-License-Identifier: MIT */
/* PCI configuration: an address that can be read back, and nobody at any address. */
#include "vmm/dev/pci.h"

#define REG_ADDRESS 0
#define REG_RESET   1

#define ADDRESS_WRITTEN 0x80fffffc
#define RESET_WRITTEN	0x06
#define RESET_NOW	0x04

/* 0xcf8 is the address for accesses of 32 bits only; narrower ones go to what else is there. */
uint32_t pci_read(const struct pci *p, unsigned int reg, unsigned int size)
{
	if (reg == REG_ADDRESS && size == 4)
		return p->address;
	if (reg == REG_RESET && size == 1)
		return p->reset;
	return UINT32_MAX;
}

bool pci_write(struct pci *p, unsigned int reg, unsigned int size, uint32_t value)
{
	bool reset =
		reg == REG_RESET && size == 1 && !(p->reset & RESET_NOW) && (value & RESET_NOW);

	if (reg == REG_ADDRESS && size == 4)
		p->address = value & ADDRESS_WRITTEN;
	if (reg == REG_RESET && size == 1)
		p->reset = value & RESET_WRITTEN;
	return reset;
}
