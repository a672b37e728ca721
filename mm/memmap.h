/* SPDX-License-Identifier: MIT */
/*
 * The machine's RAM as sorted, disjoint, page-aligned ranges, and what of it is
 * taken before the buddy starts. Fed by boot/; a static table, boot CPU only.
 */
#pragma once
#include <stdbool.h>
#include "mm/addr.h"

struct memrange {
	uint64_t start, end; /* hpa; end is exclusive */
};

/*
 * Adds usable RAM: shrunk to whole pages, cut at PHYS_LIMIT, merged with what
 * it touches. All of it comes before the first reserve or take. Returns 0, -EINVAL if it is empty or wraps, -ENOSPC if the table is full.
 */
__must_check int memmap_add(uint64_t start, uint64_t len);

/* Takes a range, widened to whole pages, out of what is free. -ENOSPC if the table is full. */
__must_check int memmap_reserve(uint64_t start, uint64_t len);

/*
 * Takes @len bytes, aligned to @align (a power of two, at least a page), from the
 * highest free place below @limit. HPA_NONE if there is none.
 */
hpa_t memmap_take(uint64_t len, uint64_t align, uint64_t limit);

/* The i-th range of RAM (reserved or not), of free RAM; NULL behind the last. */
const struct memrange *memmap_ram(unsigned int i);
const struct memrange *memmap_free(unsigned int i);

/* Whether every byte of the range is RAM. */
bool memmap_is_ram(uint64_t start, uint64_t len);
uint64_t memmap_ram_bytes(void);
/* One past the highest byte of RAM. */
uint64_t memmap_ram_end(void);
