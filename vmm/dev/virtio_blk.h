/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk in memory. Virtio 1.2, "Block Device", with the framing of legacy drivers: a header of 16 bytes, the data,
 * a status of one byte, each in descriptors of their own. IN, OUT, FLUSH and GET_ID; other requests are answered as
 * unsupported, and wrong ones as failed, unless there is no byte for the answer. LOCAL memory of a VM; calls do not overlap.
 *
 * One request moves at most BLK_BYTES_MAX, which is what drivers are told, and so the most that one exit copies.
 */
#pragma once
#include "lib/bitops.h"
#include "vmm/dev/virtio.h"

#define BLK_SECTOR    512
#define BLK_SIZE_MAX  4096	       /* bytes of a segment */
#define BLK_SEG_MAX   (VIRTQ_SIZE - 2) /* of data */
#define BLK_BYTES_MAX (BLK_SIZE_MAX * BLK_SEG_MAX)
#define BLK_ID	      "vestibule-disk"
#define BLK_ID_SIZE   20

struct virtio_blk {
	struct virtio virtio;
	char *data; /* LOCAL as well; NULL: no disk */
	uint64_t sectors;
};

/* What it offers. */
#define BLK_F_SIZE_MAX BIT(1)
#define BLK_F_SEG_MAX  BIT(2)
#define BLK_F_FLUSH    BIT(9)

/* A disk of @sectors at @data, as it is when power comes. */
static inline void virtio_blk_init(struct virtio_blk *b, char *data, uint64_t sectors)
{
	*b = (struct virtio_blk){
		.virtio = { .offers = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_FLUSH,
			    .nr_queues = 1 },
		.data = data,
		.sectors = sectors,
	};
}

/* Serves the request in @chain; in *@written how many bytes of guest RAM were. */
enum virtio_result virtio_blk_serve(struct vm *vm, const struct virtq_chain *chain,
				    uint32_t *written);

/* The word at @offset, a multiple of 4, of its own registers. */
uint32_t virtio_blk_config(const struct virtio_blk *b, unsigned int offset);
