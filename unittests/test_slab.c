/* SPDX-License-Identifier: MIT */
/* mm/slab.c. Each test ends with no page in use. */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "unittests/fake/pageblock.h"
#include "unittests/seed.h"

static struct mem_owner owners[2];

static int setup(void **state)
{
	mem_owner_init(&owners[0], 1);
	mem_owner_init(&owners[1], 2);
	assert_int_equal(memmap_add(MiB(1), MiB(64)), 0);
	return memory_setup(state);
}

static int check_all_returned(void **state)
{
	(void)state;
	mem_owner_destroy(&owners[0]);
	mem_owner_destroy(&owners[1]);
	return memory_used() ? -1 : 0;
}

static struct mem_owner *owner_for(enum mem_class class)
{
	return class == LOCAL ? &owners[0] : NULL;
}

static enum mem_class class_at(const void *hva)
{
	return pfn_to_pageblock(hva_to_hpa(hva).v / PAGE_SIZE)->class;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return len == 0;
}

/* Objects of every size are aligned, cleared, do not overlap, and lie in the cache's class. */
static void test_shapes(void **state)
{
	static const size_t sizes[] = { 1,   7,	  8,   15,   16,   17,	 24,   63,   64,    65,
					200, 256, 500, 1000, 1024, 4000, 4096, 9000, 20000, 32768 };
	static uint8_t *object[1200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t align = 0; align <= 64; align = align ? align * 2 : 1) {
			enum mem_class class = (enum mem_class)(i % MEM_CLASS_NR);
			unsigned int nr = sizes[i] > 512 ? 20 : 1200;
			struct slab_cache cache;

			assert_int_equal(slab_cache_init(&cache, "shapes", sizes[i], align, class,
							 owner_for(class)),
					 0);
			for (unsigned int n = 0; n < nr; n++) {
				object[n] = slab_alloc(&cache);
				assert_true(IS_ALIGNED((uint64_t)object[n], align ? align : 16));
				assert_true(is_zero(object[n], sizes[i]));
				assert_int_equal(class_at(object[n]), class);
				assert_ptr_equal(slab_cache_of(object[n] + sizes[i] - 1), &cache);
				memset(object[n], (int)n | 1, sizes[i]);
			}
			assert_int_equal(cache.nr_objects, nr);
			assert_int_equal(cache.nr_slabs, DIV_ROUND_UP(nr, cache.per_slab));
			for (unsigned int n = 0; n < nr; n++) {
				assert_int_equal(object[n][0], (uint8_t)(n | 1));
				assert_memory_equal(object[n], object[n] + 1, sizes[i] - 1);
				slab_free(&cache, object[n]);
			}
			slab_cache_destroy(&cache);
			assert_int_equal(memory_used(), 0);
		}
	}
}

/* A slab wastes at most an eighth, head included, from one word to the largest size. */
static void test_waste(void **state)
{
	(void)state;
	for (size_t size = 8; size <= SLAB_SIZE_MAX; size += 8) {
		struct slab_cache cache;
		uint64_t bytes;

		assert_int_equal(slab_cache_init(&cache, "waste", size, 8, SENSITIVE, NULL), 0);
		bytes = PAGE_SIZE << cache.order;
		assert_true(cache.per_slab * size <= bytes - 40);
		assert_true(cache.per_slab * size >= bytes - bytes / 8);
		slab_cache_destroy(&cache);
	}
}

/* Sizes and alignments that make no sense are refused. */
static void test_init_refuses(void **state)
{
	static const struct {
		size_t size, align;
	} cases[] = { { 0, 0 }, { SLAB_SIZE_MAX + 1, 0 }, { 8, 3 }, { 8, 128 }, { ~0UL, 0 } };
	struct slab_cache cache;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(slab_cache_init(&cache, "bad", cases[i].size, cases[i].align,
						 SENSITIVE, NULL),
				 -EINVAL);
	expect_assert_failure((void)!slab_cache_init(&cache, "bad", 8, 0, LOCAL, NULL));
	expect_assert_failure((void)!slab_cache_init(&cache, "bad", 8, 0, GLOBAL, &owners[0]));
}

/* The table of caches fills up, says so, and has room again when one ends. */
static void test_many_caches(void **state)
{
	static struct slab_cache cache[2000];
	unsigned int nr = 0;

	(void)state;
	while (nr < ARRAY_SIZE(cache) &&
	       !slab_cache_init(&cache[nr], "many", 8, 0, SENSITIVE, NULL))
		nr++;
	assert_in_range(nr, 500, ARRAY_SIZE(cache) - 1);
	assert_int_equal(slab_cache_init(&cache[nr], "many", 8, 0, SENSITIVE, NULL), -ENOSPC);
	slab_cache_destroy(&cache[7]);
	assert_int_equal(slab_cache_init(&cache[7], "many", 8, 0, SENSITIVE, NULL), 0);
	assert_int_equal(cache[7].index, 7);
	while (nr--)
		slab_cache_destroy(&cache[nr]);
}

static void expect_panic(const char *name, const char *why)
{
	assert_non_null(strstr(fake_panic_text, name));
	assert_non_null(strstr(fake_panic_text, why));
}

/* Each wrong free is an assertion that names the cache and the mistake. */
static void test_misuse(void **state)
{
	struct slab_cache cache, other;
	uint8_t *object, *large, *page, *last;
	uint64_t on_stack = 0;

	(void)state;
	assert_int_equal(slab_cache_init(&cache, "vcpu", 48, 0, LOCAL, &owners[0]), 0);
	assert_int_equal(slab_cache_init(&other, "large", 6000, 0, SENSITIVE, NULL), 0);
	object = slab_alloc(&cache);
	last = slab_alloc(&cache);
	large = slab_alloc(&other);
	page = page_alloc(3, SENSITIVE, NULL);

	slab_free(&cache, NULL);
	slab_free(&cache, last);
	expect_assert_failure(slab_free(&cache, last));
	expect_panic("slab vcpu:", "double free");
	expect_assert_failure(slab_free(&cache, last + 48)); /* never allocated */
	expect_panic("slab vcpu:", "double free");
	expect_assert_failure(slab_free(&cache, large));
	expect_panic("slab vcpu:", "not of this cache");
	expect_assert_failure(slab_free(&other, object));
	expect_panic("slab large:", "not of this cache");
	expect_assert_failure(slab_free(&other, page + PAGE_SIZE));
	expect_panic("slab large:", "not of this cache");
	expect_assert_failure(slab_free(&cache, object + 8));
	expect_panic("slab vcpu:", "object starts");
	expect_assert_failure(slab_free(&cache, (void *)((uint64_t)object & ~(PAGE_SIZE - 1))));
	expect_panic("slab vcpu:", "object starts");
	expect_assert_failure(slab_free(&cache, object + cache.per_slab * 48));
	expect_panic("slab vcpu:", "object starts");
	expect_assert_failure(slab_free(&cache, hpa_to_direct(hva_to_hpa(object))));
	expect_panic("slab vcpu:", "object starts");
	expect_assert_failure(slab_free(&cache, &on_stack));
	expect_panic("slab vcpu:", "not RAM");
	expect_assert_failure(slab_cache_destroy(&cache));
	expect_panic("slab vcpu:", "1 live object");
	/* The pages of a slab are not the page allocator's to free. */
	expect_assert_failure(page_free(hpa_to_direct(hva_to_hpa(large)), other.order));

	assert_int_equal(cache.nr_objects, 1);
	slab_free(&cache, object);
	slab_free(&other, large);
	page_free(page, 3);
	slab_cache_destroy(&cache);
	slab_cache_destroy(&other);
}

/* Any address may be asked for its cache. */
static void test_cache_of(void **state)
{
	struct slab_cache cache;
	uint8_t *object, *page = page_alloc(1, SENSITIVE, NULL);

	assert_int_equal(slab_cache_init(&cache, "of", 5000, 0, GLOBAL, NULL), 0);
	object = slab_alloc(&cache);
	assert_ptr_equal(slab_cache_of(object), &cache);
	assert_ptr_equal(slab_cache_of(object + 4999), &cache);
	assert_null(slab_cache_of(NULL));
	assert_null(slab_cache_of(state));
	assert_null(slab_cache_of(page + PAGE_SIZE));
	assert_null(slab_cache_of(hpa_to_direct(HPA(0x1000))));
	/* Where no RAM is, there need not be metadata. */
	pfn_to_page(GiB(1) / PAGE_SIZE)->state = PAGE_SLAB;
	assert_null(slab_cache_of(hpa_to_direct(HPA(GiB(1)))));
	slab_free(&cache, object);
	slab_cache_destroy(&cache);
	page_free(page, 1);
}

/* One object allocated and freed for ever costs pages once; many empty slabs do not stay. */
static void test_empty_slabs(void **state)
{
	struct slab_cache cache;
	void *object[100];

	(void)state;
	assert_int_equal(slab_cache_init(&cache, "empty", 1000, 0, SENSITIVE, NULL), 0);
	slab_free(&cache, slab_alloc(&cache));
	buddy_fail_after(1);
	for (unsigned int i = 0; i < 100; i++) {
		object[0] = slab_alloc(&cache);
		assert_non_null(object[0]);
		slab_free(&cache, object[0]);
	}
	buddy_fail_after(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&cache);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(&cache, object[i]);
	assert_int_equal(cache.nr_slabs, 1);
	assert_int_equal(memory_used(), 1UL << cache.order);
	slab_cache_destroy(&cache);
}

/* When the page allocator fails, slab_alloc does, the cache is as before, and the next works. */
static void test_no_memory(void **state)
{
	struct slab_cache cache;
	void *object[20];

	(void)state;
	assert_int_equal(slab_cache_init(&cache, "poor", 3000, 0, LOCAL, &owners[1]), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++) {
		uint64_t slabs = cache.nr_slabs;

		buddy_fail_after(1);
		object[i] = slab_alloc(&cache);
		buddy_fail_after(0);
		assert_int_equal(object[i] == NULL, i == cache.per_slab * slabs);
		if (object[i])
			continue;
		assert_int_equal(cache.nr_slabs, slabs);
		assert_int_equal(cache.nr_objects, i);
		object[i] = slab_alloc(&cache);
		assert_non_null(object[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(&cache, object[i]);
	slab_cache_destroy(&cache);
}

#define CACHES 6
#define LIVE   500

/* A random walk over several caches: contents stay, caches share no page, counts are right. */
static void test_random_walk(void **state)
{
	static const size_t sizes[CACHES] = { 16, 40, 40, 700, 2048, 10000 };
	static uint8_t *object[CACHES][LIVE];
	struct slab_cache cache[CACHES];
	uint64_t nr[CACHES] = { 0 };

	(void)state;
	seed_start(0x736c6162);
	for (unsigned int c = 0; c < CACHES; c++)
		assert_int_equal(slab_cache_init(&cache[c], "walk", sizes[c], 8,
						 c % 2 ? GLOBAL : LOCAL,
						 c % 2 ? NULL : &owners[c / 2 % 2]),
				 0);
	for (unsigned int step = 0; step < 60000; step++) {
		unsigned int c = (unsigned int)seed_below(CACHES);
		unsigned int i = (unsigned int)seed_below(LIVE);
		uint8_t mark = (uint8_t)(c * 40 + i % 40 + 1), *o = object[c][i];

		if (!o) {
			object[c][i] = o = slab_alloc(&cache[c]);
			assert_true(o && is_zero(o, sizes[c]));
			memset(o, mark, sizes[c]);
			assert_ptr_equal(slab_cache_of(o), &cache[c]);
			nr[c]++;
		} else {
			assert_int_equal(o[0], mark);
			assert_memory_equal(o, o + 1, sizes[c] - 1);
			object[c][i] = NULL;
			slab_free(&cache[c], o);
			nr[c]--;
		}
		assert_int_equal(cache[c].nr_objects, nr[c]);
	}
	for (unsigned int c = 0; c < CACHES; c++) {
		for (unsigned int i = 0; i < LIVE; i++)
			slab_free(&cache[c], object[c][i]);
		assert_int_equal(cache[c].nr_slabs, 1);
		slab_cache_destroy(&cache[c]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_shapes, check_all_returned),
		cmocka_unit_test_teardown(test_waste, check_all_returned),
		cmocka_unit_test_teardown(test_init_refuses, check_all_returned),
		cmocka_unit_test_teardown(test_many_caches, check_all_returned),
		cmocka_unit_test_teardown(test_misuse, check_all_returned),
		cmocka_unit_test_teardown(test_cache_of, check_all_returned),
		cmocka_unit_test_teardown(test_empty_slabs, check_all_returned),
		cmocka_unit_test_teardown(test_no_memory, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
