/* SPDX-License-Identifier: MIT */
/* mm/vmarea.c against an array of taken pages: the same place for each area, and all that a node knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "lib/assert.h"
#include "mm/vmarea.h"
#include "unittests/seed.h"

#define BASE	 (VMALLOC_GLOBAL_BASE + PAGE_SIZE)
#define NR_PAGES 3000
#define NR_AREAS 400

static struct vm_area areas[NR_AREAS], *root;
static bool taken[NR_PAGES + 64]; /* pages and their guards, from BASE on */

/* First fit, the plain way. */
static uint64_t model_fit(uint64_t pages)
{
	for (uint64_t at = 0, run = 0;; at++) {
		run = at < NR_PAGES && taken[at] ? 0 : run + 1;
		if (run == pages)
			return at + 1 - pages;
	}
}

static void model_set(const struct vm_area *area, bool value)
{
	for (uint64_t i = 0; i < area->nr_pages + 1; i++) {
		bool *page = &taken[(area->start - BASE) / PAGE_SIZE + i];

		assert_int_equal(*page, !value);
		*page = value;
	}
}

/* Order, heap and summaries of a sub-tree; its depth. */
static unsigned int check_tree(const struct vm_area *t, uint64_t *first, uint64_t *end,
			       uint64_t *hole)
{
	unsigned int l = 0, r = 0;
	uint64_t lf, le, lh, rf, re, rh;

	*first = t->start;
	*end = vm_area_guard_end(t);
	*hole = 0;
	if (t->left) {
		l = check_tree(t->left, &lf, &le, &lh);
		assert_true(le <= t->start && t->left->priority <= t->priority);
		*first = lf;
		*hole = MAX(lh, t->start - le);
	}
	if (t->right) {
		r = check_tree(t->right, &rf, &re, &rh);
		assert_true(rf >= *end && t->right->priority <= t->priority);
		*hole = MAX(*hole, MAX(rh, rf - *end));
		*end = re;
	}
	assert_true(t->first == *first && t->end == *end && t->hole == *hole);
	return 1 + MAX(l, r);
}

static unsigned int depth(void)
{
	uint64_t first, end, hole;

	return root ? check_tree(root, &first, &end, &hole) : 0;
}

static void check_lookup(uint64_t hva)
{
	struct vm_area *below = NULL, *above = NULL;

	for (unsigned int i = 0; i < NR_AREAS; i++) {
		struct vm_area *a = &areas[i];

		if (!a->nr_pages)
			continue;
		if (a->start <= hva && (!below || a->start > below->start))
			below = a;
		if (a->start > hva && (!above || a->start < above->start))
			above = a;
	}
	assert_ptr_equal(vm_tree_at_or_below(root, hva), below);
	assert_ptr_equal(vm_tree_above(root, hva), above);
}

static void remove_area(struct vm_area *a)
{
	vm_tree_remove(&root, a);
	model_set(a, false);
	a->nr_pages = 0;
}

static void test_random_walk(void **state)
{
	(void)state;
	for (unsigned int step = 0; step < 20000; step++) {
		struct vm_area *a = &areas[seed_below(NR_AREAS)];
		uint64_t pages = 1 + seed_below(seed_below(4) ? 4 : 30), at;

		if (a->nr_pages) {
			remove_area(a);
		} else {
			at = vm_tree_first_fit(root, BASE, (pages + 1) * PAGE_SIZE);
			assert_int_equal((at - BASE) / PAGE_SIZE, model_fit(pages + 1));
			if ((at - BASE) / PAGE_SIZE + pages + 1 > NR_PAGES)
				continue;
			a->start = at;
			a->nr_pages = pages;
			vm_tree_insert(&root, a);
			model_set(a, true);
		}
		if (step % 50 == 0)
			assert_true(depth() < 40);
		check_lookup(BASE - PAGE_SIZE + seed_below((NR_PAGES + 2) * PAGE_SIZE));
		check_lookup(a->start);
	}
	for (unsigned int i = 0; i < NR_AREAS; i++)
		if (areas[i].nr_pages)
			remove_area(&areas[i]);
	assert_null(root);
}

/* Thousands of areas in a row, the worst order for a plain tree: the depth stays small. */
static void test_depth(void **state)
{
	static struct vm_area many[20000];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++) {
		many[i].nr_pages = 1;
		many[i].start = vm_tree_first_fit(root, BASE, 2 * PAGE_SIZE);
		assert_int_equal(many[i].start, BASE + i * 2 * PAGE_SIZE);
		vm_tree_insert(&root, &many[i]);
	}
	assert_in_range(depth(), 15, 60);
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i += 2)
		vm_tree_remove(&root, &many[i]);
	assert_int_equal(vm_tree_first_fit(root, BASE, 3 * PAGE_SIZE), BASE + 40000 * PAGE_SIZE);
	for (unsigned int i = 1; i < ARRAY_SIZE(many); i += 2)
		vm_tree_remove(&root, &many[i]);
	assert_null(root);
}

static void test_misuse(void **state)
{
	struct vm_area a = { .start = BASE, .nr_pages = 1 }, b = a;

	(void)state;
	root = NULL;
	vm_tree_insert(&root, &a);
	expect_assert_failure(vm_tree_remove(&root, &b));
	root = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_walk),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_misuse),
	};

	seed_start(0x7aee);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
