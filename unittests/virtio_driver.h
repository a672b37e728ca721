/* SPDX-License-Identifier: MIT */
/*
 * A driver of virtio's legacy interface, after the specification and not after vmm/dev/: rings in guest_ram, registers by
 * ports. It says what it does with no opinion on whether that makes sense.
 */
#pragma once
#include "unittests/fake/vmx.h"
#include "unittests/guest_ram.h"
#include "vmm/ports.h"

#define VM	(&fake_vm)
#define PC	(&fake_vm.platform)
#define DISK	0xc080 /* first port */
#define CONSOLE 0xc040

#define RINGS	   0x10000 /* of the disk; of the console's two queues behind */
#define RX_RINGS   0x12000
#define TX_RINGS   0x14000
#define QUEUE_SIZE 64

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

static inline struct desc *desc_at(uint32_t rings, unsigned int i)
{
	return (struct desc *)(guest_ram + rings) + i;
}

static inline uint16_t *avail_of(uint32_t rings) /* flags, index, heads */
{
	return (uint16_t *)(guest_ram + rings + 16 * QUEUE_SIZE);
}

static inline uint16_t *used_of(uint32_t rings) /* flags, index */
{
	return (uint16_t *)(guest_ram + rings + 4096);
}

static inline uint32_t *used_entry(uint32_t rings, uint16_t i) /* head, written */
{
	return (uint32_t *)(guest_ram + rings + 4096 + 4) + i % QUEUE_SIZE * 2;
}

static inline void make_available(uint32_t rings, uint16_t head)
{
	uint16_t *avail = avail_of(rings);

	avail[2 + avail[1] % QUEUE_SIZE] = head;
	avail[1]++;
}

static inline void set_queue(uint16_t port, uint16_t queue, uint32_t rings)
{
	port_out(VM, port + 14, 2, queue);
	port_out(VM, port + 8, 4, rings >> 12);
}

/* Both devices reset and set up, with empty rings. */
static inline void start_driver(void)
{
	memset(guest_ram + RINGS, 0, 0x6000);
	for (uint16_t port = CONSOLE; port <= DISK; port += DISK - CONSOLE) {
		port_out(VM, port + 18, 1, 0);
		port_out(VM, port + 18, 1, 3);
		port_out(VM, port + 4, 4, port_in(VM, port, 4));
		set_queue(port, 0, port == DISK ? RINGS : RX_RINGS);
		if (port == CONSOLE)
			set_queue(port, 1, TX_RINGS);
		port_out(VM, port + 18, 1, 7);
	}
}

/* How often the OUT was executed, 1000 times at most, and how many bytes were copied by one of them. */
static uint64_t most_copied;

static inline unsigned int notify(uint16_t port, uint16_t queue)
{
	enum port_outcome outcome = PORT_AGAIN;
	unsigned int n;

	for (n = 0; outcome == PORT_AGAIN && n < 1000; n++) {
		uint64_t before = guest_ram_copied;

		outcome = port_out(VM, port + 16, 2, queue);
		most_copied = MAX(most_copied, guest_ram_copied - before);
	}
	return n;
}
