/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration ports 0xcf8 and 0xcfc, with no device behind them, and the reset register among them. PCI Local Bus
 * Specification 3.0, "Configuration Mechanism"; for port 0xcf9 the PIIX3 data sheet, "Reset Control Register".
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct pci {
	uint32_t address;
	uint8_t reset;
};

/* @reg: 0 to 7, a port - 0xcf8; @size: 1, 2 or 4 bytes, which may reach beyond. */
uint32_t pci_read(const struct pci *p, unsigned int reg, unsigned int size);
/* True: it resets the machine. */
bool pci_write(struct pci *p, unsigned int reg, unsigned int size, uint32_t value);
