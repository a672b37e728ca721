/* SPDX-License-Identifier: MIT */
/* What a virtio console sends. */
#include "vmm/dev/virtio_console.h"
#include "lib/bitops.h"
#include "vmm/guestmem.h"
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
