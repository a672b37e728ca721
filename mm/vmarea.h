/* SPDX-License-Identifier: MIT */
/*
 * The areas of one vmalloc range by address: a treap (a search tree by address that is a heap by
 * a hash of it, so about 2 log2(n) deep), each node of which knows the largest hole below it.
 * First fit, insertion, removal and lookup then walk one path. No locks, no allocation: mm/vmalloc.c.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "mm/addr.h"

enum vm_area_state {
	AREA_LIVE,
	AREA_LAZY,    /* freed, still mapped, waits for its batch */
	AREA_PURGING, /* being unmapped; the addresses stay taken until no CPU can reach them */
};

struct vm_area {
	struct vm_area *left, *right; /* lower, higher addresses */
	uint64_t first, end, hole;    /* of the sub-tree: bounds, and the largest gap inside */
	uint64_t priority;
	uint64_t start;
	size_t nr_pages;
	struct vm_area *next_lazy;
	unsigned int order; /* of the descriptor itself */
	enum vm_area_state state;
	hpa_t frames[];
};

/* Where the area's last page ends, and the guard page that goes with it. */
static inline uint64_t vm_area_end(const struct vm_area *area)
{
	return area->start + area->nr_pages * PAGE_SIZE;
}

static inline uint64_t vm_area_guard_end(const struct vm_area *area)
{
	return vm_area_end(area) + PAGE_SIZE;
}

/* The lowest address from @base on where @len bytes are free; perhaps behind the last area. */
uint64_t vm_tree_first_fit(const struct vm_area *root, uint64_t base, uint64_t len);
/* @area->start and nr_pages say where; no area is there yet. */
void vm_tree_insert(struct vm_area **root, struct vm_area *area);
/* @area is in the tree. */
void vm_tree_remove(struct vm_area **root, struct vm_area *area);
/* The highest area that starts at @hva or below; NULL if all are above. */
struct vm_area *vm_tree_at_or_below(struct vm_area *root, uint64_t hva);
/* The lowest area that starts above @hva; NULL if there is none. */
struct vm_area *vm_tree_above(struct vm_area *root, uint64_t hva);
