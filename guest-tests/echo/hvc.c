/* SPDX-License-Identifier: MIT */
/* The receiving half of a driver for the virtio console. */
#include "guest-tests/echo/echo.h"
#include "guest-tests/lib/virtio.h"

#define BUFFER_MAX 1024

static volatile struct rings rings;
static volatile u8 buffers[QUEUE_SIZE][BUFFER_MAX];
static u16 ports, taken;

static void give(u16 buffer)
{
	rings.avail.head[rings.avail.index % QUEUE_SIZE] = buffer;
	asm volatile("" : : : "memory");
	rings.avail.index++;
}

static void notify(void)
{
	outw(ports + 16, 0);
}

void hvc_start(bool irq)
{
	u32 nr = (u32)arg_u64("buffers", 8), size = (u32)arg_u64("size", 128);

	ports = pci_config(CONSOLE, 0x10) & 0xfffc;
	outb(ports + 18, 0);
	outb(ports + 18, 3);
	outw(ports + 14, 0);
	outl(ports + 8, (u32)((u64)&rings / PAGE_SIZE));
	rings.avail.flags = !irq;
	outb(ports + 18, 7);
	for (u32 i = 0; i < nr && i < QUEUE_SIZE; i++) {
		rings.desc[i].gpa = (u64)buffers[i];
		rings.desc[i].len = size < BUFFER_MAX ? size : BUFFER_MAX;
		rings.desc[i].flags = WRITE;
		give((u16)i);
	}
	notify();
}

void hvc_take(void)
{
	u16 before = taken;

	for (; taken != rings.used.index; taken++) {
		u32 head = rings.used.entry[taken % QUEUE_SIZE].head;

		for (u32 i = 0; i < rings.used.entry[taken % QUEUE_SIZE].written; i++)
			came(buffers[head][i]);
		give((u16)head);
	}
	if (taken != before)
		notify();
}

bool hvc_interrupted(void)
{
	return inb(ports + 19) == 1;
}

void hvc_stop(void)
{
	report_eq("the virtio console's status", inb(ports + 18), 7);
	outb(ports + 18, 0);
}
