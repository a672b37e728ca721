/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices as a driver sees them: the registers of the legacy interface, in the ports of a PCI function, and an
 * interrupt by a line of the PIC. Virtio 1.2, "Legacy Interfaces: A Note on PCI Device Layout"; why legacy:
 * docs/decisions/0018-virtio-legacy-by-ports.md. LOCAL memory of a VM; calls do not overlap.
 *
 * A device serves a request when it is notified, one for each notification: while there are more, the guest's OUT is not
 * over, and is executed again. So no exit has more work than one request, which is bounded, and nothing has to be kept
 * for later. Only what comes in from outside has no notification: see virtio_receive(). A ring that makes no sense is answered by DEVICE_NEEDS_RESET: until its driver resets it, the device does nothing.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "vmm/dev/pci.h"
#include "vmm/dev/virtqueue.h"
#include "vmm/ports.h"

#define VIRTIO_QUEUES_MAX  2
#define VIRTIO_CONFIG	   20	/* where a device's own registers begin */
#define VIRTIO_DRIVER_OK   0x04 /* in the status: its driver is ready */
#define VIRTIO_NEEDS_RESET 0x40

struct virtio {
	uint32_t offers, features; /* what of it the driver has taken */
	uint16_t nr_queues, selected;
	uint8_t status; /* as the driver has written it, and VIRTIO_NEEDS_RESET */
	uint8_t isr;	/* why it interrupts; until it is read */
	struct virtq queue[VIRTIO_QUEUES_MAX];
};

/* What a device makes of a chain. */
enum virtio_result {
	VIRTIO_DONE,
	VIRTIO_MORE, /* not yet: the same chain again, from queue->done on */
	VIRTIO_BAD,  /* it is no request */
};

/* @reg: of the ports of the device in @slot; @size: 1, 2 or 4 bytes, which may reach beyond. */
uint32_t virtio_read(struct vm *vm, enum pci_slot slot, unsigned int reg, unsigned int size);
/* A notification is PORT_WORKED if it has served the last request, PORT_AGAIN if there are more; anything else PORT_SERVED. */
enum port_outcome virtio_write(struct vm *vm, enum pci_slot slot, unsigned int reg,
			       unsigned int size, uint32_t value);

/*
 * Puts what waits for the console (vm->typed.due) into its receive queue: one chain, CONSOLE_BYTES_MAX bytes at most. By a
 * vCPU of @vm that runs, since it touches guest RAM; takes vm->lock. It stays due while there are more bytes and chains.
 */
void virtio_receive(struct vm *vm);
