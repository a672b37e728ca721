/* SPDX-License-Identifier: MIT */
/*
 * A virtio console. Virtio 1.2, "Console Device": one port, no features, no size. What it sends comes out as what COM1
 * sends does, line by line; with input=virtio what is typed comes in. LOCAL memory of a VM; calls do not overlap.
 *
 * At most CONSOLE_BYTES_MAX go out at one exit, since a line takes as long as the machine's serial port does, and as many
 * come in.
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

/*
 * A byte is typed. It waits (vmm/typed.h) until the driver has made a buffer available; false if as many as can wait do
 * already. For any CPU: guest RAM is not touched, a vCPU of the VM is made to call virtio_receive().
 */
__must_check bool virtio_console_receive(struct vm *vm, uint8_t byte);
/* Whether bytes wait for it, and its driver is ready; its rings may hold no chain for them. */
bool virtio_console_has_input(const struct vm *vm);
/* Status or queues have changed, of any device: whether bytes may be given now, and whether they would wake the guest. */
void virtio_console_changed(struct vm *vm);
/* Puts the oldest that wait, which stay, into @chain; how many, 0: it has no room for one, or is no RAM. */
uint32_t virtio_console_fill(struct vm *vm, const struct virtq_chain *chain);
/* Sends what is in @chain, from byte @q->done on. */
enum virtio_result virtio_console_serve(struct vm *vm, struct virtq *q,
					const struct virtq_chain *chain);
