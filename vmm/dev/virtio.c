/* SPDX-License-Identifier: MIT */
/* The registers of virtio devices, and what a notification does. */
#include "vmm/dev/virtio.h"
#include "lib/compiler.h"
#include "vmm/vm.h"

enum {
	REG_OFFERS = 0,
	REG_FEATURES = 4,
	REG_PFN = 8,
	REG_SIZE = 12,
	REG_SELECT = 14,
	REG_NOTIFY = 16,
	REG_STATUS = 18,
	REG_ISR = 19,
};

#define ISR_QUEUE  1
#define ISR_CONFIG 2

/* Drivers write registers as wide as they are; anything else is nothing. */
static const uint8_t write_size[] = {
	[REG_FEATURES] = 4, [REG_PFN] = 4,    [REG_SELECT] = 2,
	[REG_NOTIFY] = 2,   [REG_STATUS] = 1, [REG_ISR] = 0,
};

static struct virtio *device(struct vm *vm, enum pci_slot slot)
{
	return slot == PCI_DISK ? &vm->platform.disk.virtio : &vm->platform.console.virtio;
}

static enum platform_irq irq_of(enum pci_slot slot)
{
	return slot == PCI_DISK ? IRQ_DISK : IRQ_CONSOLE;
}

static void interrupt(struct vm *vm, enum pci_slot slot, uint8_t why)
{
	device(vm, slot)->isr |= why;
	platform_set_irq(vm, irq_of(slot), true);
}

static uint8_t read_isr(struct vm *vm, enum pci_slot slot)
{
	struct virtio *d = device(vm, slot);
	uint8_t isr = d->isr;

	d->isr = 0;
	platform_set_irq(vm, irq_of(slot), false);
	return isr;
}

static void reset(struct vm *vm, enum pci_slot slot)
{
	struct virtio *d = device(vm, slot);

	*d = (struct virtio){ .offers = d->offers, .nr_queues = d->nr_queues };
	platform_set_irq(vm, irq_of(slot), false);
}

/* NULL: the number is none. */
static struct virtq *queue_of(struct virtio *d, uint32_t number)
{
	return number < d->nr_queues ? &d->queue[number] : NULL;
}

/* ---- requests ---- */

static void give_up(struct vm *vm, enum pci_slot slot)
{
	device(vm, slot)->status |= VIRTIO_NEEDS_RESET;
	virtio_console_changed(vm);
	interrupt(vm, slot, ISR_CONFIG);
}

/* The next chain of a queue. False: there is none, or none that makes sense. */
static bool next_chain(struct vm *vm, enum pci_slot slot, const struct virtq *q,
		       struct virtq_chain *chain)
{
	enum virtq_look look = virtq_peek(vm, q, chain);

	if (look == VIRTQ_BAD)
		give_up(vm, slot);
	return look == VIRTQ_CHAIN;
}

/* False if it could not be given back. */
static bool give_back(struct vm *vm, enum pci_slot slot, struct virtq *q, uint16_t head,
		      uint32_t written)
{
	if (!virtq_give(vm, q, head, written)) {
		give_up(vm, slot);
		return false;
	}
	if (virtq_wants_irq(vm, q))
		interrupt(vm, slot, ISR_QUEUE);
	return true;
}

static enum virtio_result serve(struct vm *vm, enum pci_slot slot, struct virtq *q,
				const struct virtq_chain *chain, uint32_t *written)
{
	return slot == PCI_DISK ? virtio_blk_serve(vm, chain, written)
				: virtio_console_serve(vm, q, chain);
}

/* The next request of a queue. */
static enum port_outcome serve_next(struct vm *vm, enum pci_slot slot, struct virtq *q)
{
	struct virtq_chain chain;
	uint32_t written = 0;

	if (!next_chain(vm, slot, q, &chain))
		return PORT_SERVED;
	switch (serve(vm, slot, q, &chain, &written)) {
	case VIRTIO_MORE:
		return PORT_AGAIN;
	case VIRTIO_BAD:
		give_up(vm, slot);
		return PORT_SERVED;
	case VIRTIO_DONE:
		break;
	}
	if (!give_back(vm, slot, q, chain.head, written))
		return PORT_SERVED;
	return virtq_has_next(vm, q) ? PORT_AGAIN : PORT_WORKED;
}

/* What was typed, to the next chain of the receive queue: what the driver gives the console to fill stays until then. */
static enum port_outcome receive_next(struct vm *vm)
{
	struct virtq *q = &vm->platform.console.virtio.queue[CONSOLE_RECEIVE];
	struct typed *t = &vm->typed;
	struct virtq_chain chain;
	uint32_t written;

	WRITE_ONCE(t->due, false);
	if (!next_chain(vm, PCI_CONSOLE, q, &chain))
		return PORT_SERVED;
	written = virtio_console_fill(vm, &chain);
	if (!written) {
		give_up(vm, PCI_CONSOLE);
		return PORT_SERVED;
	}
	if (!give_back(vm, PCI_CONSOLE, q, chain.head, written))
		return PORT_SERVED;
	typed_drop(t, written);
	WRITE_ONCE(t->due, t->count && virtq_has_next(vm, q));
	return t->due ? PORT_AGAIN : PORT_WORKED;
}

void virtio_receive(struct vm *vm)
{
	uint64_t flags = spin_lock(&vm->lock);

	if (vm->typed.due) /* no other vCPU has looked meanwhile */
		receive_next(vm);
	spin_unlock(&vm->lock, flags);
}

static enum port_outcome notify(struct vm *vm, enum pci_slot slot, uint32_t number)
{
	struct virtio *d = device(vm, slot);
	struct virtq *q = queue_of(d, number);

	if (!q || (d->status & VIRTIO_NEEDS_RESET))
		return PORT_SERVED;
	if (slot == PCI_CONSOLE && number == CONSOLE_RECEIVE)
		return virtio_console_has_input(vm) ? receive_next(vm) : PORT_SERVED;
	return serve_next(vm, slot, q);
}

/* ---- registers ---- */

static uint32_t read_word(struct vm *vm, enum pci_slot slot, unsigned int reg)
{
	struct virtio *d = device(vm, slot);
	const struct virtq *q = queue_of(d, d->selected);

	switch (reg) {
	case REG_OFFERS:
		return d->offers;
	case REG_FEATURES:
		return d->features;
	case REG_PFN:
		return q ? q->pfn : 0;
	case REG_SIZE:
		return (q ? VIRTQ_SIZE : 0) | (uint32_t)d->selected << 16;
	case REG_NOTIFY: /* and status */
		return (uint32_t)d->status << 16;
	default:
		return slot == PCI_DISK ? virtio_blk_config(&vm->platform.disk, reg - VIRTIO_CONFIG)
					: 0;
	}
}

uint32_t virtio_read(struct vm *vm, enum pci_slot slot, unsigned int reg, unsigned int size)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < size; i++) {
		unsigned int byte = reg + i;
		uint32_t v = byte == REG_ISR ? read_isr(vm, slot)
					     : read_word(vm, slot, byte & ~3U) >> 8 * (byte & 3);

		value |= (v & 0xff) << 8 * i;
	}
	return value;
}

enum port_outcome virtio_write(struct vm *vm, enum pci_slot slot, unsigned int reg,
			       unsigned int size, uint32_t value)
{
	struct virtio *d = device(vm, slot);
	struct virtq *q = queue_of(d, d->selected);

	if (reg >= ARRAY_SIZE(write_size) || write_size[reg] != size)
		return PORT_SERVED;
	switch (reg) {
	case REG_FEATURES:
		d->features = value & d->offers;
		break;
	case REG_PFN:
		if (q)
			*q = (struct virtq){ .pfn = value };
		virtio_console_changed(vm);
		break;
	case REG_SELECT:
		d->selected = (uint16_t)value;
		break;
	case REG_NOTIFY:
		return notify(vm, slot, value);
	default: /* REG_STATUS */
		if (!value)
			reset(vm, slot);
		else
			d->status = (uint8_t)value | (d->status & VIRTIO_NEEDS_RESET);
		virtio_console_changed(vm);
	}
	return PORT_SERVED;
}
