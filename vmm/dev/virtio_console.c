/* SPDX-License-Identifier: MIT */
/* What a virtio console sends and receives. */
#include "vmm/dev/virtio_console.h"
#include "lib/bitops.h"
#include "vmm/guestmem.h"
#include "vmm/post.h"
#include "vmm/vm.h"

/* Bytes @from to @from + @len of a segment. False if they are no RAM. */
static bool send(struct vm *vm, const struct virtq_segment *s, uint64_t from, uint32_t len)
{
	uint8_t text[CONSOLE_BYTES_MAX];

	if (guestmem_read(vm, GPA(s->gpa.v + from), text, len))
		return false;
	for (uint32_t i = 0; i < len; i++)
		com1_text(vm, text[i]);
	return true;
}

enum virtio_result virtio_console_serve(struct vm *vm, struct virtq *q,
					const struct virtq_chain *chain)
{
	uint32_t room = CONSOLE_BYTES_MAX;
	uint64_t end = 0; /* of the segment, in the chain */

	for (uint32_t i = 0; i < chain->nr && !chain->seg[i].write; i++) {
		const struct virtq_segment *s = &chain->seg[i];
		uint64_t from = end;
		uint32_t len;

		end += s->len;
		if (q->done >= end)
			continue;
		len = (uint32_t)MIN(end - q->done, room);
		if (!send(vm, s, q->done - from, len))
			return VIRTIO_BAD;
		q->done += len;
		room -= len;
		if (q->done < end)
			return VIRTIO_MORE;
	}
	return VIRTIO_DONE;
}

/* Before its driver is, rings may be anything. */
static bool is_ready(const struct vm *vm)
{
	const struct virtio *d = &vm->platform.console.virtio;

	return vm->typed.to == VM_INPUT_VIRTIO &&
	       (d->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK &&
	       d->queue[CONSOLE_RECEIVE].pfn;
}

bool virtio_console_has_input(const struct vm *vm)
{
	return vm->typed.count && is_ready(vm);
}

void virtio_console_changed(struct vm *vm)
{
	if (vm->typed.to != VM_INPUT_VIRTIO)
		return;
	WRITE_ONCE(vm->typed.may_wake, is_ready(vm));
	WRITE_ONCE(vm->typed.due, virtio_console_has_input(vm));
}

bool virtio_console_receive(struct vm *vm, uint8_t byte)
{
	if (!typed_put(&vm->typed, byte))
		return false;
	virtio_console_changed(vm);
	if (vm->typed.due)
		post_platform(vm, BOOT_VCPU);
	return true;
}

uint32_t virtio_console_fill(struct vm *vm, const struct virtq_chain *chain)
{
	uint8_t text[CONSOLE_BYTES_MAX];
	uint32_t nr = typed_peek(&vm->typed, text, sizeof(text)), done = 0;

	for (uint32_t i = 0; i < chain->nr && done < nr; i++) {
		const struct virtq_segment *s = &chain->seg[i];
		uint32_t len = MIN(s->len, nr - done);

		if (!s->write)
			continue;
		if (guestmem_write(vm, s->gpa, text + done, len))
			return 0;
		done += len;
	}
	return done;
}
