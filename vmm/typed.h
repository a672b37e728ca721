/* SPDX-License-Identifier: MIT */
/*
 * What somebody types to a guest and it has not got yet: bytes that wait for COM1 or for the virtio console, whichever
 * the guest's input= names. Part of struct vm, so LOCAL; vm->lock guards it. Restricted.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "vmm/vmoptions.h"

#define TYPED_MAX 1024 /* bytes that wait; a power of two */

struct vm;

struct typed {
	uint8_t wait[TYPED_MAX]; /* the oldest at first */
	uint16_t first, count;
	enum vm_input
		to; /* the device that takes them; VM_INPUT_NONE: nobody types. Before the VM runs */
	bool may_wake; /* a byte would interrupt the guest: it may wake though nothing else will */
	bool due; /* the virtio console may have room for what waits: a vCPU has to look (vmm/run.c) */
};

/* False: as many as can wait do already. */
__must_check bool typed_put(struct typed *t, uint8_t byte);
/* Copies the oldest, @max at most, which stay; how many. */
uint32_t typed_peek(const struct typed *t, uint8_t *buf, uint32_t max);
/* They have been taken: the oldest @nr of those that wait. */
void typed_drop(struct typed *t, uint32_t nr);

/* A byte is typed to @vm, for the device that takes them. False if it has not been taken: too many wait. */
__must_check bool typed_receive(struct vm *vm, uint8_t byte);
