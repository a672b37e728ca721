/* SPDX-License-Identifier: MIT */
/* Accesses to devices at random, from ports and memory (main.c) to the rings of virtio devices (rings.c). */
#pragma once

#include "guest-tests/lib/cpu.h"

enum { CONSOLE = 1, DISK = 2, PCI_DEVICES }; /* of PCI bus 0; 0 is the bridge */
enum { PCI_COMMAND = 4, PCI_BAR = 0x10 };

/* The only memory whose address a device is told: devices may write what they like there. At the end of RAM. */
#define ARENA_SIZE BIT(20)
extern u64 arena;

u64 below(u64 n);
bool one_in(u64 n);
/* A word that has few bits set, or many, or is small, or anything. */
u64 some_value(void);
/* An access of 1, 2 or 4 bytes, counted. A write that would end the guest, or print, is not made. */
void port_access(u32 port, u32 size, bool write, u32 value);

u32 pci_read(u32 device, u32 reg);
void pci_write(u32 device, u32 reg, u32 value);

/* rings.c: finds the devices; false if they are not there. */
bool rings_find(void);
/* The devices' ports are where they were, and on. */
void rings_restore(void);
/* A register of a virtio device, read or written. */
void act_virtio(void);
/* Rings and requests that are right, or nearly, or not at all; and the notification. */
void act_rings(void);
/* After a reset the disk reads a sector. */
bool disk_works(void);
