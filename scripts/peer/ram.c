/* SPDX-License-Identifier: MIT */
/* The guest's RAM, in three parts. See peer.h. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>

#include "peer.h"

enum { SMALL = 4096, LARGE = 2 << 20 };

static void advise(const struct ram *ram, size_t start, size_t end, int advice)
{
	if (end > start && madvise(ram->at + start, end - start, advice))
		die_errno("advice %d for the guest's RAM", advice);
}

/* By writing, since a page that was only read is the one page of zeros. */
static void populate(const struct ram *ram, size_t start, size_t end)
{
	for (size_t i = start; i < end; i += SMALL)
		((volatile uint8_t *)ram->at)[i] = 0;
}

void ram_create(struct ram *ram)
{
	size_t extent = ram->size + LARGE;
	uint8_t *map = mmap(NULL, extent, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (map == MAP_FAILED)
		die_errno("%zu bytes for the guest's RAM", ram->size);
	/* Pages of 2 MiB must be aligned alike in the guest and here. */
	skip = -(uintptr_t)map & (LARGE - 1);
	ram->at = map + skip;
	if (skip)
		munmap(map, skip);
	munmap(ram->at + ram->size, LARGE - skip);
	advise(ram, 0, ram->large, MADV_NOHUGEPAGE);
	advise(ram, ram->large, ram->size, MADV_HUGEPAGE);
	populate(ram, ram->populated, ram->size);
}

void ram_destroy(struct ram *ram)
{
	munmap(ram->at, ram->size);
}
