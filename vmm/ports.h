/* SPDX-License-Identifier: MIT */
/* A guest's I/O ports: which device answers at which, and accesses of every width. Restricted, bounded. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vm;

/* @size: 1, 2 or 4 bytes. Where nobody answers all bits are ones. */
uint32_t port_in(struct vm *vm, uint16_t port, unsigned int size);
/* What became of a write. */
enum port_outcome {
	PORT_ENDS, /* it was the end of the VM */
	PORT_SERVED,
	PORT_WORKED, /* served, and that was work enough for one exit */
	PORT_AGAIN,  /* the device has more to do: the guest is to write it once more */
};
/* @value has no bits beyond @size. */
enum port_outcome port_out(struct vm *vm, uint16_t port, unsigned int size, uint32_t value);
