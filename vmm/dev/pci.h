/* SPDX-License-Identifier: MIT */
/*
 * PCI bus 0: configuration ports 0xcf8 and 0xcfc, the few functions behind them, and the reset register among them. PCI
 * Local Bus Specification 3.0, "Configuration Mechanism", "Configuration Space Organization"; for port 0xcf9 the PIIX3
 * data sheet, "Reset Control Register". LOCAL memory of a VM; calls do not overlap.
 *
 * A host bridge is there because systems trust these ports only if they find one. Every other function has one block of
 * ports (BAR 0) and interrupts by a line of the PIC; no memory, no messages.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum pci_slot { PCI_BRIDGE, PCI_CONSOLE, PCI_DISK, PCI_SLOTS };

#define PCI_BAR_SIZE 64 /* ports; a power of two */

struct pci_function {
	bool present;
	uint8_t line; /* of the PIC, as firmware or the guest has noted it: nothing follows from it */
	uint16_t command; /* the bits that there are */
	uint16_t bar;	  /* its first port */
};

struct pci {
	uint32_t address;
	uint8_t reset;
	struct pci_function slot[PCI_SLOTS];
};

/* Puts a function in its slot, with ports of its own and @line noted, as firmware leaves it. */
void pci_plug(struct pci *p, enum pci_slot slot, uint8_t line);

/* The function whose ports @port is among; it is number @port % PCI_BAR_SIZE of them. PCI_SLOTS: none. */
enum pci_slot pci_slot_at(const struct pci *p, uint32_t port);

/* @reg: 0 to 7, a port - 0xcf8; @size: 1, 2 or 4 bytes, which may reach beyond. */
uint32_t pci_read(const struct pci *p, unsigned int reg, unsigned int size);
/* True: it resets the machine. */
bool pci_write(struct pci *p, unsigned int reg, unsigned int size, uint32_t value);
