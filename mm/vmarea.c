/* SPDX-License-Identifier: MIT */
/*
 * The tree of mm/vmarea.h. An area takes its pages and the guard page behind them; the page in
 * front of the first area is the caller's to leave out. Example, holes in brackets:
 *
 *	          B 40-60 [20]             first 10, end 90, hole 20
 *	         /            \
 *	   A 10-20 [0]    C 65-90 [0]      between A and B 20 are free, between B and C 5
 */
#include "mm/vmarea.h"
#include "lib/assert.h"
#include "lib/bitops.h"

/* What the children know, put together. */
static void update(struct vm_area *area)
{
	const struct vm_area *l = area->left, *r = area->right;

	area->first = l ? l->first : area->start;
	area->end = r ? r->end : vm_area_guard_end(area);
	area->hole = 0;
	if (l)
		area->hole = MAX(l->hole, area->start - l->end);
	if (r) {
		uint64_t between = r->first - vm_area_guard_end(area);

		area->hole = MAX(area->hole, MAX(r->hole, between));
	}
}

uint64_t vm_tree_first_fit(const struct vm_area *root, uint64_t base, uint64_t len)
{
	const struct vm_area *at = root;

	/* @base is where the gap in front of @at's sub-tree begins; all below is taken or too small. */
	while (at && at->first - base < len) {
		const struct vm_area *l = at->left;

		if (l && l->hole >= len) {
			at = l;
		} else if (l && at->start - l->end >= len) {
			return l->end;
		} else {
			base = vm_area_guard_end(at);
			at = at->right;
		}
	}
	return base;
}

/* Cuts @tree into what lies below @hva and what does not. */
static void split(struct vm_area *tree, uint64_t hva, struct vm_area **low, struct vm_area **high)
{
	if (!tree) {
		*low = *high = NULL;
	} else if (tree->start < hva) {
		split(tree->right, hva, &tree->right, high);
		update(tree);
		*low = tree;
	} else {
		split(tree->left, hva, low, &tree->left);
		update(tree);
		*high = tree;
	}
}

/* Joins two trees, all of @low below all of @high. */
static struct vm_area *join(struct vm_area *low, struct vm_area *high)
{
	if (!low || !high)
		return low ? low : high;
	if (low->priority > high->priority) {
		low->right = join(low->right, high);
		update(low);
		return low;
	}
	high->left = join(low, high->left);
	update(high);
	return high;
}

/* Spreads addresses, which come in rows, over all priorities (the finaliser of SplitMix64). */
static uint64_t hash(uint64_t v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9UL;
	v = (v ^ v >> 27) * 0x94d049bb133111ebUL;
	return v ^ v >> 31;
}

void vm_tree_insert(struct vm_area **root, struct vm_area *area)
{
	struct vm_area *low, *high;

	area->left = area->right = NULL;
	area->priority = hash(area->start);
	update(area);
	split(*root, area->start, &low, &high);
	*root = join(join(low, area), high);
}

void vm_tree_remove(struct vm_area **root, struct vm_area *area)
{
	struct vm_area *low, *rest, *high;

	split(*root, area->start, &low, &rest);
	split(rest, area->start + 1, &rest, &high);
	ASSERT(rest == area);
	*root = join(low, high);
}

struct vm_area *vm_tree_at_or_below(struct vm_area *root, uint64_t hva)
{
	struct vm_area *found = NULL;

	while (root) {
		if (root->start <= hva) {
			found = root;
			root = root->right;
		} else {
			root = root->left;
		}
	}
	return found;
}

struct vm_area *vm_tree_above(struct vm_area *root, uint64_t hva)
{
	struct vm_area *found = NULL;

	while (root) {
		if (root->start > hva) {
			found = root;
			root = root->left;
		} else {
			root = root->right;
		}
	}
	return found;
}
