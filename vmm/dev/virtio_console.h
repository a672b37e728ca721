/* SPDX-License-Identifier: MIT */
/*
 * A virtio console. Virtio 1.2, "Console Device": one port, no features, no size. What it sends comes out as what COM1
 * sends does, line by line; nothing comes in. LOCAL memory of a VM; calls do not overlap.
 *
 * At most CONSOLE_BYTES_MAX go out at one exit, since a line takes as long as the machine's serial port does.
 */
#pragma once
#include "vmm/dev/virtio.h"

#define CONSOLE_BYTES_MAX 256

enum { CONSOLE_RECEIVE, CONSOLE_TRANSMIT, CONSOLE_QUEUES }; /* of the queues */

struct virtio_console {
	struct virtio virtio;
};

/* As it is when power comes. */
static inline void virtio_console_init(struct virtio_console *c)
{
	*c = (struct virtio_console){ .virtio = { .nr_queues = CONSOLE_QUEUES } };
}

/* Sends what is in @chain, from byte @q->done on. */
enum virtio_result virtio_console_serve(struct vm *vm, struct virtq *q,
					const struct virtq_chain *chain);
