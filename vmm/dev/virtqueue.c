/* SPDX-License-Identifier: MIT */
/* The rings of a virtqueue. */
#include "vmm/dev/virtqueue.h"
#include "arch/insn.h"
#include "lib/bitops.h"
#include "vmm/guestmem.h"

struct descriptor {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4 /* not offered */

struct used {
	uint32_t head, written;
};

#define AVAIL_NO_INTERRUPT 1

/* Offsets from where the queue begins. */
#define AVAIL	    (VIRTQ_SIZE * sizeof(struct descriptor))
#define AVAIL_FLAGS AVAIL
#define AVAIL_INDEX (AVAIL + 2)
#define AVAIL_RING  (AVAIL + 4)
#define AVAIL_END   (AVAIL_RING + VIRTQ_SIZE * 2 + 2)
#define USED	    ALIGN_UP(AVAIL_END, PAGE_SIZE)
#define USED_INDEX  (USED + 2)
#define USED_RING   (USED + 4)

static gpa_t at(const struct virtq *q, uint64_t offset)
{
	return GPA(((uint64_t)q->pfn << PAGE_SHIFT) + offset);
}

/* Two bytes that another vCPU may be writing are read at once (guestmem.h). */
static bool read16(const struct vm *vm, const struct virtq *q, uint64_t offset, uint16_t *value)
{
	return guestmem_read(vm, at(q, offset), value, sizeof(*value)) == 0;
}

/* How many chains wait. False if the ring cannot be read, or says more than it holds. */
static bool count_waiting(const struct vm *vm, const struct virtq *q, uint16_t *nr)
{
	uint16_t index;

	if (!read16(vm, q, AVAIL_INDEX, &index))
		return false;
	*nr = (uint16_t)(index - q->next);
	return *nr <= VIRTQ_SIZE;
}

/* The chain from descriptor @i on: in range, no longer than the table, what is written last. */
static bool read_chain(const struct vm *vm, const struct virtq *q, uint16_t i,
		       struct virtq_chain *chain)
{
	bool write = false;

	for (chain->nr = 0; chain->nr < VIRTQ_SIZE;) {
		struct descriptor d;

		if (i >= VIRTQ_SIZE || guestmem_read(vm, at(q, i * sizeof(d)), &d, sizeof(d)))
			return false;
		if ((d.flags & DESC_INDIRECT) || (write && !(d.flags & DESC_WRITE)))
			return false;
		write = d.flags & DESC_WRITE;
		chain->seg[chain->nr++] = (struct virtq_segment){ GPA(d.gpa), d.len, write };
		if (!(d.flags & DESC_NEXT))
			return true;
		i = d.next;
	}
	return false;
}

enum virtq_look virtq_peek(const struct vm *vm, const struct virtq *q, struct virtq_chain *chain)
{
	uint16_t waiting;

	if (!q->pfn)
		return VIRTQ_EMPTY;
	if (!count_waiting(vm, q, &waiting))
		return VIRTQ_BAD;
	if (!waiting)
		return VIRTQ_EMPTY;
	if (!read16(vm, q, AVAIL_RING + q->next % VIRTQ_SIZE * 2, &chain->head) ||
	    !read_chain(vm, q, chain->head, chain))
		return VIRTQ_BAD;
	return VIRTQ_CHAIN;
}

/* The entry first, then the index that shows it: x86 stores become visible in order. */
bool virtq_give(const struct vm *vm, struct virtq *q, uint16_t head, uint32_t written)
{
	struct used used = { head, written };
	uint16_t index = (uint16_t)(q->used + 1);

	if (guestmem_write(vm, at(q, USED_RING + q->used % VIRTQ_SIZE * sizeof(used)), &used,
			   sizeof(used)) ||
	    guestmem_write(vm, at(q, USED_INDEX), &index, sizeof(index)))
		return false;
	q->used = index;
	q->next++;
	q->done = 0;
	return true;
}

bool virtq_wants_irq(const struct vm *vm, const struct virtq *q)
{
	uint16_t flags;

	/* The index before the flags: a driver that turns interrupts on looks at the index afterwards. */
	memory_fence();
	return read16(vm, q, AVAIL_FLAGS, &flags) && !(flags & AVAIL_NO_INTERRUPT);
}

bool virtq_has_next(const struct vm *vm, const struct virtq *q)
{
	uint16_t waiting;

	return count_waiting(vm, q, &waiting) && waiting;
}
