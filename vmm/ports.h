/* SPDX-License-Identifier: MIT */
/* A guest's I/O ports: which device answers at which, and accesses of every width. Restricted, bounded. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vm;

/* @size: 1, 2 or 4 bytes. Where nobody answers all bits are ones. */
uint32_t port_in(struct vm *vm, uint16_t port, unsigned int size);
/* @value has no bits beyond @size. False if that was the end of the VM. */
bool port_out(struct vm *vm, uint16_t port, unsigned int size, uint32_t value);
