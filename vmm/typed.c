/* SPDX-License-Identifier: MIT */
/* A ring of bytes, and where they go. */
#include "vmm/typed.h"
#include "lib/bitops.h"
#include "vmm/vm.h"

bool typed_put(struct typed *t, uint8_t byte)
{
	if (t->count == TYPED_MAX)
		return false;
	t->wait[(t->first + t->count++) % TYPED_MAX] = byte;
	return true;
}

uint32_t typed_peek(const struct typed *t, uint8_t *buf, uint32_t max)
{
	uint32_t nr = MIN(t->count, max);

	for (uint32_t i = 0; i < nr; i++)
		buf[i] = t->wait[(t->first + i) % TYPED_MAX];
	return nr;
}

void typed_drop(struct typed *t, uint32_t nr)
{
	t->first = (uint16_t)((t->first + nr) % TYPED_MAX);
	t->count = (uint16_t)(t->count - nr);
}

bool typed_receive(struct vm *vm, uint8_t byte)
{
	return vm->typed.to == VM_INPUT_VIRTIO ? virtio_console_receive(vm, byte)
					       : com1_receive(vm, byte);
}
