/* SPDX-License-Identifier: MIT */
/*
 * What vfree() keeps aside: mm/vmalloc.c over a fake of mm/hostmap.c that asserts by itself that no page
 * is free before it is unmapped and flushed. Batches, one flush for each, counters, memory pressure,
 * an owner's end, and what another CPU may do while a batch is unmapped.
 */
#include <string.h>
#include "unittests/memory.h"
#include "lib/compiler.h"
#include "mm/vmalloc.c"
#include "lib/assert.h"
#include "unittests/fake/hostmap.h"
#include "unittests/seed.h"

static struct mem_owner owners[2];

static const struct {
	enum mem_class class;
	struct mem_owner *owner;
} kinds[] = { { SENSITIVE, NULL }, { GLOBAL, NULL }, { LOCAL, &owners[0] }, { LOCAL, &owners[1] } };

static int setup(void **state)
{
	mem_owner_init(&owners[0], 1);
	mem_owner_init(&owners[1], OWNER_MAX);
	return memory_setup(state);
}

static int check_all_returned(void **state)
{
	(void)state;
	vmalloc_flush();
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct vmalloc_stats s;

		vmalloc_get_stats(kinds[k].class, kinds[k].owner, &s);
		assert_true(!s.areas && !s.pages && !s.lazy_areas && !s.lazy_pages);
		vm_ranges[kinds[k].class + (kinds[k].owner ? kinds[k].owner->id : 0)] =
			(struct vm_range){ 0 };
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(owners); i++)
		mem_owner_destroy(&owners[i]);
	fake_hostmap_flushes = 0;
	return memory_used() || fake_hostmap_pages ? -1 : 0;
}

static void *alloc(unsigned int kind, size_t pages)
{
	void *hva = vmalloc(pages * PAGE_SIZE, kinds[kind].class, kinds[kind].owner);

	assert_non_null(hva);
	return hva;
}

static struct vmalloc_stats stats(unsigned int kind)
{
	struct vmalloc_stats s;

	vmalloc_get_stats(kinds[kind].class, kinds[kind].owner, &s);
	return s;
}

/* The last area of a batch, and nothing before it, unmaps all of them with one flush. */
static void test_batch_of_areas(void **state)
{
	void *hva[VMALLOC_LAZY_AREAS];

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned int i = 0; i < VMALLOC_LAZY_AREAS; i++)
			hva[i] = alloc(k, 2);
		for (unsigned int i = 0; i < VMALLOC_LAZY_AREAS - 1; i++) {
			struct vmalloc_stats s;

			vfree(hva[i]);
			s = stats(k);
			assert_int_equal(s.lazy_areas, i + 1);
			assert_int_equal(s.lazy_pages, 2 * (i + 1));
			assert_int_equal(s.areas, VMALLOC_LAZY_AREAS - i - 1);
			assert_int_equal(s.pages, 2 * s.areas);
			assert_int_equal(fake_hostmap_flushes, k);
			assert_int_equal(fake_hostmap_pages, 2 * VMALLOC_LAZY_AREAS);
		}
		vfree(hva[VMALLOC_LAZY_AREAS - 1]);
		assert_int_equal(fake_hostmap_flushes, k + 1);
		assert_int_equal(fake_hostmap_pages, 0);
		assert_int_equal(stats(k).lazy_areas + stats(k).lazy_pages + stats(k).pages, 0);
		assert_int_equal(stats(k).flushes, 1);
		assert_int_equal(stats(k).max_pages, 2 * VMALLOC_LAZY_AREAS);
		assert_int_equal(memory_used(), 0);
	}
}

/* Few large areas fill a batch by their pages; one that is larger than it goes at once. */
static void test_batch_of_pages(void **state)
{
	void *a = alloc(1, VMALLOC_LAZY_PAGES - 1), *b = alloc(1, 1), *c;

	(void)state;
	vfree(a);
	assert_int_equal(fake_hostmap_flushes, 0);
	vfree(b);
	assert_int_equal(fake_hostmap_flushes, 1);
	assert_int_equal(memory_used(), 0);
	c = alloc(1, VMALLOC_LAZY_PAGES);
	vfree(c);
	assert_int_equal(fake_hostmap_flushes, 2);
	assert_int_equal(memory_used(), 0);
}

/* Until it is flushed a freed area is not found, and its addresses and pages are not given away. */
static void test_kept_aside(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		uint8_t *a = alloc(k, 3), *b = alloc(k, 1), *c;
		hpa_t frame = hostmap_vlookup(a);
		void *start;
		size_t len;

		vfree(a);
		assert_int_equal(hostmap_vlookup(a).v, frame.v);
		assert_false(vmalloc_area_of(a, &start, &len));
		assert_false(vmalloc_area_of(a + 3 * PAGE_SIZE - 1, &start, &len));
		assert_false(vmalloc_area_of(a - 1, &start, &len));
		assert_true(vmalloc_area_of(a + 3 * PAGE_SIZE, &start, &len)); /* b's guard */
		assert_ptr_equal(start, b);
		c = alloc(k, 3);
		assert_ptr_equal(c, b + 2 * PAGE_SIZE);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_not_equal(hostmap_vlookup(c + i * PAGE_SIZE).v, frame.v);
		assert_int_equal(vmalloc_flush(), 3);
		assert_int_equal(hostmap_vlookup(a).v, HPA_NONE.v);
		vfree(c);
		c = alloc(k, 2);
		assert_ptr_equal(c, a);
		vfree(b);
		assert_true(vmalloc_area_of(c + 2 * PAGE_SIZE, &start, &len)); /* of c, above it */
		assert_ptr_equal(start, c);
		vfree(c);
		vmalloc_flush();
	}
}

/* A flush takes the batches of all ranges, each with a TLB flush of those who may see it, and does nothing if there are none. */
static void test_flush_all(void **state)
{
	void *hva[ARRAY_SIZE(kinds)];

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++)
		hva[k] = alloc(k, k + 1);
	assert_int_equal(vmalloc_flush(), 0);
	assert_int_equal(fake_hostmap_flushes, 0);
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++)
		vfree(hva[k]);
	assert_int_equal(vmalloc_flush(), 1 + 2 + 3 + 4);
	assert_int_equal(fake_hostmap_flushes, ARRAY_SIZE(kinds));
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++)
		assert_int_equal(stats(k).flushes, 1);
}

/* An owner ends: his batch is given back, nobody else's, and the next with his number starts anew. */
static void test_owner_end(void **state)
{
	void *a = alloc(2, 5), *b = alloc(3, 7);

	(void)state;
	vfree(a);
	vfree(b);
	expect_assert_failure(mem_owner_destroy(&owners[0])); /* pages are in use yet */
	vmalloc_owner_end(&owners[0]);
	mem_owner_destroy(&owners[0]);
	assert_int_equal(stats(2).flushes + stats(2).max_pages, 0);
	assert_int_equal(stats(3).lazy_pages, 7);
	vmalloc_owner_end(&owners[1]);
	vmalloc_owner_end(&owners[1]);
	mem_owner_destroy(&owners[1]);
	assert_int_equal(memory_used(), 0);
}

/* Pages that are kept aside are no reason to fail, at any of the sites that may. */
static void test_pressure(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= 6; n++) {
		vfree(alloc(0, 9));
		buddy_fail_after(n);
		vfree(alloc(2, 5));
		assert_int_equal(stats(0).lazy_pages, 0);
		assert_int_equal(stats(2).lazy_pages, 5);
		vmalloc_flush();
		/* With nothing kept aside there is nothing to try again. */
		buddy_fail_after(n);
		assert_null(vmalloc(5 * PAGE_SIZE, LOCAL, &owners[0]));
		assert_int_equal(memory_used(), 0);
	}
	vfree(alloc(0, 9));
	fake_hostmap_fails = true;
	vfree(alloc(2, 5));
	assert_int_equal(stats(0).lazy_pages, 0);
}

static void *freed, *meanwhile;

static void other_cpu(void)
{
	assert_int_equal(stats(1).lazy_areas, 1);
	expect_assert_failure(vfree(freed));
	assert_non_null(strstr(fake_panic_text, "freed already"));
	meanwhile = alloc(1, 1);
	assert_int_equal(vmalloc_flush(), 0);
}

/* While a CPU may still hold a translation, the addresses are not given away or freed again. */
static void test_purging(void **state)
{
	(void)state;
	freed = alloc(1, 1);
	vfree(freed);
	fake_hostmap_hook = other_cpu;
	assert_int_equal(vmalloc_flush(), 1);
	assert_ptr_not_equal(meanwhile, freed);
	vfree(meanwhile);
}

#define LIVE 90

/* A random walk: counters are what the model counts, and areas never meet, kept aside or not. */
static void test_random_walk(void **state)
{
	static struct {
		uint8_t *hva;
		size_t pages;
	} area[LIVE];
	uint64_t live[ARRAY_SIZE(kinds)] = { 0 }, pages[ARRAY_SIZE(kinds)] = { 0 };

	(void)state;
	seed_start(0x1a2f);
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int i = (unsigned int)seed_below(LIVE), k = i % ARRAY_SIZE(kinds);

		if (seed_below(200) == 0)
			vmalloc_flush();
		if (area[i].hva) {
			vfree(area[i].hva);
			area[i].hva = NULL;
			live[k]--;
			pages[k] -= area[i].pages;
		} else {
			area[i].pages = 1 + seed_below(seed_below(10) ? 4 : 60);
			area[i].hva = alloc(k, area[i].pages);
			for (unsigned int j = 0; j < LIVE; j++)
				if (j != i && area[j].hva)
					assert_false(ranges_overlap(
						(uint64_t)area[i].hva - PAGE_SIZE,
						(area[i].pages + 2) * PAGE_SIZE,
						(uint64_t)area[j].hva, area[j].pages * PAGE_SIZE));
			live[k]++;
			pages[k] += area[i].pages;
		}
		for (k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct vmalloc_stats s = stats(k);

			assert_true(s.areas == live[k] && s.pages == pages[k]);
			assert_true(s.lazy_areas < VMALLOC_LAZY_AREAS);
			assert_true(s.lazy_pages < VMALLOC_LAZY_PAGES);
			assert_true(s.max_pages >= s.pages + s.lazy_pages);
		}
	}
	for (unsigned int i = 0; i < LIVE; i++)
		vfree(area[i].hva);
}

/* Thousands of areas: neither they nor their end take quadratic time, and all pages come back. */
static void test_thousands(void **state)
{
	static void *hva[5000];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		hva[i] = alloc(1, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		vfree(hva[i * 7 % ARRAY_SIZE(hva)]);
	assert_int_equal(stats(1).flushes, ARRAY_SIZE(hva) / VMALLOC_LAZY_AREAS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_batch_of_areas, check_all_returned),
		cmocka_unit_test_teardown(test_batch_of_pages, check_all_returned),
		cmocka_unit_test_teardown(test_kept_aside, check_all_returned),
		cmocka_unit_test_teardown(test_flush_all, check_all_returned),
		cmocka_unit_test_teardown(test_owner_end, check_all_returned),
		cmocka_unit_test_teardown(test_pressure, check_all_returned),
		cmocka_unit_test_teardown(test_purging, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
		cmocka_unit_test_teardown(test_thousands, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
