/* SPDX-License-Identifier: MIT */
/* Requests of a virtio disk. */
#include "vmm/dev/virtio_blk.h"
#include "lib/bitops.h"
#include "lib/string.h"
#include "vmm/guestmem.h"
#include "vmm/vm.h"

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPPORTED = 2 };

struct header {
	uint32_t type, priority;
	uint64_t sector;
};

/* A request that has the form of one: its data is @seg[0] to @seg[nr - 1]. */
struct request {
	struct header header;
	const struct virtq_segment *seg;
	uint32_t nr;
};

uint32_t virtio_blk_config(const struct virtio_blk *b, unsigned int offset)
{
	switch (offset) {
	case 0:
		return (uint32_t)b->sectors;
	case 4:
		return (uint32_t)(b->sectors >> 32);
	case 8:
		return BLK_SIZE_MAX;
	case 12:
		return BLK_SEG_MAX;
	default: /* of features that are not offered */
		return 0;
	}
}

/* Bytes of the request's data; 0 if a segment is longer than drivers were told, or of the other direction. */
static uint32_t data_bytes(const struct request *r, bool write)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < r->nr; i++) {
		if (r->seg[i].len > BLK_SIZE_MAX || r->seg[i].write != write)
			return 0;
		bytes += r->seg[i].len;
	}
	return bytes;
}

/* To and from the disk. What was copied before a segment that is no RAM stays. */
static uint8_t transfer(struct vm *vm, const struct request *r, bool in, uint32_t *written)
{
	const struct virtio_blk *b = &vm->platform.disk;
	uint64_t sector = r->header.sector, nr = data_bytes(r, in) / BLK_SECTOR;
	char *data;

	if (!nr || data_bytes(r, in) % BLK_SECTOR || sector >= b->sectors ||
	    nr > b->sectors - sector)
		return STATUS_IOERR;
	data = b->data + sector * BLK_SECTOR;
	for (uint32_t i = 0; i < r->nr; i++) {
		const struct virtq_segment *s = &r->seg[i];

		if (in ? guestmem_write(vm, s->gpa, data, s->len)
		       : guestmem_read(vm, s->gpa, data, s->len))
			return STATUS_IOERR;
		data += s->len;
		*written += in ? s->len : 0;
	}
	return STATUS_OK;
}

static uint8_t get_id(struct vm *vm, const struct request *r, uint32_t *written)
{
	static const char id[BLK_ID_SIZE] = BLK_ID;

	if (r->nr != 1 || !r->seg[0].write || r->seg[0].len < BLK_ID_SIZE ||
	    guestmem_write(vm, r->seg[0].gpa, id, sizeof(id)))
		return STATUS_IOERR;
	*written += sizeof(id);
	return STATUS_OK;
}

static uint8_t execute(struct vm *vm, const struct request *r, uint32_t *written)
{
	switch (r->header.type) {
	case TYPE_IN:
		return transfer(vm, r, true, written);
	case TYPE_OUT:
		return transfer(vm, r, false, written);
	case TYPE_FLUSH: /* nothing is cached */
		return STATUS_OK;
	case TYPE_GET_ID:
		return get_id(vm, r, written);
	default:
		return STATUS_UNSUPPORTED;
	}
}

enum virtio_result virtio_blk_serve(struct vm *vm, const struct virtq_chain *chain,
				    uint32_t *written)
{
	const struct virtq_segment *first = chain->seg, *last = &chain->seg[chain->nr - 1];
	struct request r = { .seg = first + 1, .nr = chain->nr - 2U };
	uint8_t status;

	if (chain->nr < 2 || first->write || first->len != sizeof(r.header) || !last->write ||
	    last->len != sizeof(status) ||
	    guestmem_read(vm, first->gpa, &r.header, sizeof(r.header)))
		return VIRTIO_BAD;
	status = execute(vm, &r, written);
	if (guestmem_write(vm, last->gpa, &status, sizeof(status)))
		return VIRTIO_BAD;
	*written += sizeof(status);
	return VIRTIO_DONE;
}
