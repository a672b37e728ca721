/* SPDX-License-Identifier: MIT */
/* mm/memmap.c, included as source so that each test can start with empty tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "mm/memmap.c"
#include "unittests/seed.h"

static int reset(void **state)
{
	(void)state;
	all_ram.nr = free_ram.nr = 0;
	taking = false;
	return 0;
}

static void expect_range(const struct memrange *r, uint64_t start, uint64_t end)
{
	assert_non_null(r);
	assert_int_equal(r->start, start);
	assert_int_equal(r->end, end);
}

/* RAM shrinks to whole pages below the limit; what is empty or wraps is refused. */
static void test_add_shapes(void **state)
{
	static const struct {
		uint64_t start, len;
		int err;
		uint64_t want_start, want_end;
	} cases[] = {
		{ 0, 0x1000, 0, 0, 0x1000 },
		{ 0, 0x9fc00, 0, 0, 0x9f000 },
		{ 0x1001, 0x2000, 0, 0x2000, 0x3000 },
		{ 0x100000, 0x7ee0123, 0, 0x100000, 0x7fe0000 },
		{ PHYS_LIMIT - 0x1000, 0x5000, 0, PHYS_LIMIT - 0x1000, PHYS_LIMIT },
		{ 0x1000, 0, -EINVAL, 0, 0 },
		{ 0x1000, 0xfff, -EINVAL, 0, 0 },
		{ 0x1001, 0x1ffe, -EINVAL, 0, 0 },
		{ PHYS_LIMIT, 0x1000, -EINVAL, 0, 0 },
		{ ~0UL, 1, -EINVAL, 0, 0 },
		{ ~0UL - 10, 5, -EINVAL, 0, 0 },
		{ 0x1000, ~0UL, -EINVAL, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		assert_int_equal(memmap_add(cases[i].start, cases[i].len), cases[i].err);
		if (cases[i].err) {
			assert_null(memmap_ram(0));
			assert_int_equal(memmap_ram_end(), 0);
			continue;
		}
		expect_range(memmap_ram(0), cases[i].want_start, cases[i].want_end);
		expect_range(memmap_free(0), cases[i].want_start, cases[i].want_end);
		assert_null(memmap_ram(1));
		assert_int_equal(memmap_ram_bytes(), cases[i].want_end - cases[i].want_start);
		assert_int_equal(memmap_ram_end(), cases[i].want_end);
	}
}

/* Ranges that overlap or touch become one, whatever their order. */
static void test_add_merges(void **state)
{
	(void)state;
	assert_int_equal(memmap_add(0x5000, 0x1000), 0);
	assert_int_equal(memmap_add(0x1000, 0x1000), 0);
	assert_int_equal(memmap_add(0x3000, 0x1000), 0);
	assert_int_equal(all_ram.nr, 3);
	assert_int_equal(memmap_add(0x2000, 0x1000), 0);
	expect_range(memmap_ram(0), 0x1000, 0x4000);
	assert_int_equal(memmap_add(0, 0x10000), 0);
	expect_range(memmap_ram(0), 0, 0x10000);
	assert_int_equal(all_ram.nr, 1);
}

/* What is reserved leaves the free table, widened to whole pages, and stays RAM. */
static void test_reserve(void **state)
{
	(void)state;
	assert_int_equal(memmap_add(0x1000, 0xf000), 0);
	assert_int_equal(memmap_reserve(0x3fff, 2), 0);
	expect_range(memmap_free(0), 0x1000, 0x3000);
	expect_range(memmap_free(1), 0x5000, 0x10000);
	assert_int_equal(memmap_reserve(0xf800, ~0UL), 0);
	expect_range(memmap_free(1), 0x5000, 0xf000);
	assert_int_equal(memmap_reserve(0x6000, 0), 0);
	assert_int_equal(memmap_reserve(0x100000, 0x1000), 0);
	assert_null(memmap_free(2));
	expect_range(memmap_ram(0), 0x1000, 0x10000);
	assert_true(memmap_is_ram(0x1000, 0xf000));
	assert_false(memmap_is_ram(0xfff, 2));
	assert_false(memmap_is_ram(0xffff, 2));
	assert_false(memmap_is_ram(0x1000, ~0UL));
}

/* A taken place is the highest that is aligned, free, and below the limit. */
static void test_take(void **state)
{
	(void)state;
	assert_int_equal(memmap_add(0x1000, 0x9e000), 0);
	assert_int_equal(memmap_add(0x100000, 0x500000), 0);
	assert_int_equal(memmap_take(0x1000, 0x1000, ~0UL).v, 0x5ff000);
	assert_int_equal(memmap_take(1, 0x200000, ~0UL).v, 0x400000);
	assert_int_equal(memmap_take(0x200000, 0x200000, ~0UL).v, 0x200000);
	assert_int_equal(memmap_take(0x200000, 0x200000, ~0UL).v, HPA_NONE.v);
	assert_int_equal(memmap_take(0x2000, 0x1000, 0x100000).v, 0x9d000);
	assert_int_equal(memmap_take(0x1000, 0x1000, 0x1fff).v, HPA_NONE.v);
	assert_int_equal(memmap_take(0x1000, 0x1000, 0x2000).v, 0x1000);
	expect_assert_failure(memmap_take(0x1000, 0x3000, ~0UL));
	expect_assert_failure(memmap_take(0x1000, 0x800, ~0UL));
	expect_assert_failure(memmap_take(0, 0x1000, ~0UL));
}

/* RAM that came after a reservation would undo it: an assertion. */
static void test_add_after_reserve(void **state)
{
	(void)state;
	assert_int_equal(memmap_reserve(0, 0x1000), 0);
	expect_assert_failure((void)!memmap_add(0, 0x2000));
}

/* A full table refuses what needs one more entry, unchanged, and takes what needs none. */
static void test_full(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MEMRANGES_MAX; i++)
		assert_int_equal(memmap_add(i * 0x4000, 0x3000), 0);
	assert_int_equal(memmap_add(MiB(16), 0x1000), -ENOSPC);
	assert_int_equal(memmap_add(0x3000, 0x1000), 0); /* closes a gap: one less */
	assert_int_equal(memmap_add(MiB(16), 0x3000), 0);
	assert_int_equal(all_ram.nr, MEMRANGES_MAX);
	assert_int_equal(memmap_reserve(MiB(16) + 0x1000, 0x1000), -ENOSPC);
	expect_range(memmap_free(MEMRANGES_MAX - 1), MiB(16), MiB(16) + 0x3000);
	assert_int_equal(memmap_reserve(MiB(16), 0x1000), 0);
	/* Here the highest place would split a range, so a lower one at an edge is taken. */
	assert_int_equal(memmap_take(0x1000, 0x4000, MiB(16)).v, 255 * 0x4000);
}

#define PAGES 700

static bool model_ram[PAGES], model_free[PAGES];

static unsigned int model_nr(const bool *model)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		nr += model[i] && (i == 0 || !model[i - 1]);
	return nr;
}

static void check_table(const struct memranges *t, const bool *model)
{
	unsigned int page = 0;

	assert_int_equal(t->nr, model_nr(model));
	for (unsigned int i = 0; i < t->nr; i++) {
		for (; page < t->range[i].start / PAGE_SIZE; page++)
			assert_false(model[page]);
		for (; page < t->range[i].end / PAGE_SIZE; page++)
			assert_true(model[page]);
	}
	for (; page < PAGES; page++)
		assert_false(model[page]);
}

static uint64_t model_take(uint64_t pages, uint64_t align)
{
	for (uint64_t start = ALIGN_DOWN(PAGES - pages, align);; start -= align) {
		uint64_t n = 0;

		while (n < pages && model_free[start + n])
			n++;
		if (n == pages)
			return start;
		if (start < align)
			return ~0UL;
	}
}

/* Both tables say what a plain array of pages says, after every step of a random walk. */
static void test_random_walk(void **state)
{
	seed_start(0x6d656d);
	for (unsigned int round = 0; round < 30; round++) {
		reset(state);
		memset(model_ram, 0, sizeof(model_ram));
		for (unsigned int step = 0; step < 200; step++) {
			uint64_t start = seed_below((PAGES - 8) * PAGE_SIZE);
			uint64_t len = PAGE_SIZE + seed_below(7 * PAGE_SIZE);
			uint64_t first = ALIGN_UP(start, PAGE_SIZE), end = start + len;

			end = ALIGN_DOWN(end, PAGE_SIZE);
			for (uint64_t p = first; p < end; p += PAGE_SIZE)
				model_ram[p / PAGE_SIZE] = true;
			assert_int_equal(memmap_add(start, len), first < end ? 0 : -EINVAL);
			check_table(&all_ram, model_ram);
		}
		memcpy(model_free, model_ram, sizeof(model_free));
		for (unsigned int step = 0; step < 200; step++) {
			uint64_t align = 1UL << seed_below(4), len = 1 + seed_below(4);
			uint64_t at = seed_below(PAGES - 8);

			if (seed_below(2)) {
				assert_int_equal(
					memmap_reserve(at * PAGE_SIZE + 1, len * PAGE_SIZE), 0);
				len++; /* shifted by a byte, so it lies in one page more */
			} else {
				uint64_t want = model_take(len, align);
				hpa_t got = memmap_take(len * PAGE_SIZE, align * PAGE_SIZE, ~0UL);

				assert_int_equal(got.v, want == ~0UL ? ~0UL : want * PAGE_SIZE);
				at = want == ~0UL ? 0 : want;
				len = want == ~0UL ? 0 : len;
			}
			memset(&model_free[at], 0, len);
			check_table(&free_ram, model_free);
			check_table(&all_ram, model_ram);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_add_shapes, reset),
		cmocka_unit_test_setup(test_add_merges, reset),
		cmocka_unit_test_setup(test_reserve, reset),
		cmocka_unit_test_setup(test_take, reset),
		cmocka_unit_test_setup(test_add_after_reserve, reset),
		cmocka_unit_test_setup(test_full, reset),
		cmocka_unit_test_setup(test_random_walk, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
