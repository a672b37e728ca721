/* SPDX-License-Identifier: MIT */
/*
 * Two tables of ranges: the RAM, and what of it is still free. Not an allocator:
 * once the buddy has taken what is free, this is only a record of where RAM is.
 */
#include <stddef.h>
#include "mm/memmap.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MEMRANGES_MAX 256

/* Sorted, disjoint, and never touching: two that meet have become one. */
struct memranges {
	unsigned int nr;
	struct memrange range[MEMRANGES_MAX];
};

static struct memranges all_ram, free_ram;
static bool taking; /* something was reserved or taken */

/* Replaces @nr_old ranges from @at on by @nr_new from @new; the caller checked for room. */
static void ranges_replace(struct memranges *t, unsigned int at, unsigned int nr_old,
			   const struct memrange *new, unsigned int nr_new)
{
	memmove(&t->range[at + nr_new], &t->range[at + nr_old],
		(t->nr - at - nr_old) * sizeof(t->range[0]));
	memcpy(&t->range[at], new, nr_new * sizeof(*new));
	t->nr = t->nr - nr_old + nr_new;
}

static int ranges_insert(struct memranges *t, struct memrange new)
{
	unsigned int first = 0, end;

	while (first < t->nr && t->range[first].end < new.start)
		first++;
	for (end = first; end < t->nr && t->range[end].start <= new.end; end++) {
		new.start = MIN(new.start, t->range[end].start);
		new.end = MAX(new.end, t->range[end].end);
	}
	if (end == first && t->nr == MEMRANGES_MAX)
		return -ENOSPC;
	ranges_replace(t, first, end - first, &new, 1);
	return 0;
}

static int ranges_remove(struct memranges *t, struct memrange old)
{
	struct memrange rest[2];
	unsigned int first = 0, end, nr = 0;

	while (first < t->nr && t->range[first].end <= old.start)
		first++;
	end = first;
	while (end < t->nr && t->range[end].start < old.end)
		end++;
	if (end == first)
		return 0;
	if (t->range[first].start < old.start)
		rest[nr++] = (struct memrange){ t->range[first].start, old.start };
	if (t->range[end - 1].end > old.end)
		rest[nr++] = (struct memrange){ old.end, t->range[end - 1].end };
	if (t->nr - (end - first) + nr > MEMRANGES_MAX)
		return -ENOSPC;
	ranges_replace(t, first, end - first, rest, nr);
	return 0;
}

int memmap_add(uint64_t start, uint64_t len)
{
	struct memrange new = { ALIGN_UP(start, PAGE_SIZE), start + len };
	int err;

	ASSERT(!taking);
	if (start + len < start || new.start < start)
		return -EINVAL;
	new.end = ALIGN_DOWN(MIN(new.end, PHYS_LIMIT), PAGE_SIZE);
	if (new.start >= new.end)
		return -EINVAL;
	err = ranges_insert(&all_ram, new);
	free_ram = all_ram;
	return err;
}

int memmap_reserve(uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	taking = true;
	if (!len)
		return 0;
	/* There is no RAM up there, but a range that wraps must not turn into an empty one. */
	end = end < start || end > PHYS_LIMIT ? PHYS_LIMIT : ALIGN_UP(end, PAGE_SIZE);
	return ranges_remove(&free_ram, (struct memrange){ ALIGN_DOWN(start, PAGE_SIZE), end });
}

hpa_t memmap_take(uint64_t len, uint64_t align, uint64_t limit)
{
	ASSERT(len && len <= PHYS_LIMIT);
	ASSERT(align >= PAGE_SIZE && !(align & (align - 1)));
	taking = true;
	len = ALIGN_UP(len, PAGE_SIZE);
	for (unsigned int i = free_ram.nr; i-- > 0;) {
		uint64_t end = MIN(free_ram.range[i].end, limit), start;

		if (end < len)
			continue;
		start = ALIGN_DOWN(end - len, align);
		if (start < free_ram.range[i].start)
			continue;
		/* A full table cannot be split, but may have a place that needs no split. */
		if (ranges_remove(&free_ram, (struct memrange){ start, start + len }) == 0)
			return HPA(start);
	}
	return HPA_NONE;
}

const struct memrange *memmap_ram(unsigned int i)
{
	return i < all_ram.nr ? &all_ram.range[i] : NULL;
}

const struct memrange *memmap_free(unsigned int i)
{
	return i < free_ram.nr ? &free_ram.range[i] : NULL;
}

bool memmap_is_ram(uint64_t start, uint64_t len)
{
	for (unsigned int i = 0; i < all_ram.nr; i++) {
		const struct memrange *r = &all_ram.range[i];

		if (start >= r->start && start < r->end)
			return len <= r->end - start;
	}
	return false;
}

uint64_t memmap_ram_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < all_ram.nr; i++)
		bytes += all_ram.range[i].end - all_ram.range[i].start;
	return bytes;
}

uint64_t memmap_ram_end(void)
{
	return all_ram.nr ? all_ram.range[all_ram.nr - 1].end : 0;
}
