/* SPDX-License-Identifier: MIT */
/* What a driver of virtio's legacy interface shares with its device: registers, and rings in memory. */
#pragma once

#include "guest-tests/lib/cpu.h"

enum { CONSOLE = 1, DISK = 2 }; /* devices of PCI bus 0 */
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { NEEDS_RESET = 0x40, QUEUE_SIZE = 64 };

struct desc {
	u64 gpa;
	u32 len;
	u16 flags, next;
};

struct rings {
	struct desc desc[QUEUE_SIZE];
	struct {
		u16 flags, index, head[QUEUE_SIZE];
	} avail;
	u8 room[PAGE_SIZE - 16 * QUEUE_SIZE - 4 - 2 * QUEUE_SIZE];
	struct {
		u16 flags, index;
		struct {
			u32 head, written;
		} entry[QUEUE_SIZE];
	} used;
} __attribute__((aligned(4096)));

/* What selects a register of a device of bus 0, for port 0xcf8. */
#define PCI_ADDRESS(device, reg) (0x80000000 | (device) << 11 | (reg))

static inline u32 pci_config(u32 device, u32 reg)
{
	outl(0xcf8, PCI_ADDRESS(device, reg));
	return inl(0xcfc);
}
