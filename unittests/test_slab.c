/* SPDX-License-Identifier: MIT */
/* mm/slab.c. Each test ends with no page in use. */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "mm/slab_internal.h"
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

			slab_cache_init(&cache, "shapes", sizes[i], align, class, owner_for(class));
			for (unsigned int n = 0; n < nr; n++) {
				object[n] = slab_zalloc(&cache);
				assert_true(IS_ALIGNED((uint64_t)object[n], align ? align : 16));
				assert_true(is_zero(object[n], sizes[i]));
				assert_int_equal(class_at(object[n]), class);
				assert_ptr_equal(slab_cache_of(object[n] + sizes[i] - 1), &cache);
				memset(object[n], (int)n | 1, sizes[i]);
			}
			assert_int_equal(slab_cache_live(&cache), nr);
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

/* A slab wastes at most an eighth, head included, from the least size to the largest. */
static void test_waste(void **state)
{
	(void)state;
	for (size_t size = 16; size <= SLAB_SIZE_MAX; size += 8) {
		struct slab_cache cache;
		uint64_t bytes;

		slab_cache_init(&cache, "waste", size, 8, SENSITIVE, NULL);
		bytes = PAGE_SIZE << cache.order;
		assert_true(cache.per_slab * size >= bytes - bytes / 8);
		assert_true(cache.head_size + cache.per_slab * size <= bytes);
		assert_true((cache.colours - 1) * 64 + cache.head_size + cache.per_slab * size <=
			    bytes);
		slab_cache_destroy(&cache);
	}
}

static void refuse(size_t size, size_t align)
{
	struct slab_cache cache;

	expect_assert_failure(slab_cache_init(&cache, "bad", size, align, SENSITIVE, NULL));
	assert_non_null(strstr(fake_panic_text, "slab bad:"));
	assert_non_null(strstr(fake_panic_text, "called from 0x"));
}

/* Sizes, alignments and owners that make no sense are assertions. */
static void test_init_refuses(void **state)
{
	static const struct {
		size_t size, align;
	} cases[] = { { 0, 0 }, { SLAB_SIZE_MAX + 1, 0 }, { 8, 3 }, { 8, 128 }, { ~0UL, 0 } };
	struct slab_cache cache;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(cases[i].size, cases[i].align);
	expect_assert_failure(slab_cache_init(&cache, "bad", 8, 0, LOCAL, NULL));
	assert_non_null(strstr(fake_panic_text, "slab bad:"));
	expect_assert_failure(slab_cache_init(&cache, "bad", 8, 0, GLOBAL, &owners[0]));
	assert_non_null(strstr(fake_panic_text, "class 1, owner 1;"));
	assert_true(panic_names(test_init_refuses));
	expect_assert_failure(slab_cache_init(&cache, "bad", 8, 0, MEM_CLASS_NR, NULL));
	assert_non_null(strstr(fake_panic_text, "class 3, owner 0;"));
}

/* Caches never merge, even if they are alike: each has slabs of its own. */
static void test_many_caches(void **state)
{
	static struct slab_cache cache[1000];
	static void *object[1000];
	struct slab_stats stats;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cache); i++) {
		slab_cache_init(&cache[i], "many", 64, 0, GLOBAL, NULL);
		object[i] = slab_alloc(&cache[i]);
		assert_ptr_equal(slab_cache_of(object[i]), &cache[i]);
		assert_true(!i || hva_to_hpa(object[i]).v / PAGE_SIZE !=
					  hva_to_hpa(object[i - 1]).v / PAGE_SIZE);
	}
	slab_get_stats(GLOBAL, NULL, &stats);
	assert_int_equal(stats.slabs, ARRAY_SIZE(cache));
	assert_int_equal(stats.objects, ARRAY_SIZE(cache));
	assert_int_equal(stats.bytes, ARRAY_SIZE(cache) * (PAGE_SIZE << cache[0].order));
	for (unsigned int i = 0; i < ARRAY_SIZE(cache); i++) {
		slab_free(&cache[i], object[i]);
		slab_cache_destroy(&cache[i]);
	}
	slab_get_stats(GLOBAL, NULL, &stats);
	assert_int_equal(stats.slabs, 0);
	expect_assert_failure(slab_cache_destroy(&cache[0])); /* it has ended already */
}

static void expect_panic(const char *name, const char *why)
{
	assert_non_null(strstr(fake_panic_text, "called from 0x"));
	assert_non_null(strstr(fake_panic_text, name));
	assert_non_null(strstr(fake_panic_text, why));
}

/* Each wrong free is an assertion that names the cache and the mistake. */
static void test_misuse(void **state)
{
	struct slab_cache cache, other;
	uint8_t *object, *large, *page, *last;
	uint64_t on_stack = 0;
	char address[32];

	(void)state;
	slab_cache_init(&cache, "vcpu", 80, 0, LOCAL, &owners[0]);
	slab_cache_init(&other, "large", 6000, 0, SENSITIVE, NULL);
	object = slab_alloc(&cache);
	last = slab_alloc(&cache);
	large = slab_alloc(&other);
	page = page_alloc(3, SENSITIVE, NULL);

	slab_free(&cache, NULL);
	slab_free(&cache, last);
	expect_assert_failure(slab_free(&cache, last));
	expect_panic("slab vcpu:", "double free");
	expect_assert_failure(slab_free(&cache, last + 80)); /* never allocated */
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
	expect_assert_failure(slab_free(&cache, object + cache.per_slab * 80));
	expect_panic("slab vcpu:", "object starts");
	expect_assert_failure(slab_free(&cache, hpa_to_direct(hva_to_hpa(object))));
	expect_panic("slab vcpu:", "wrong alias");
	expect_assert_failure(slab_free(&cache, &on_stack));
	expect_panic("slab vcpu:", "not RAM");
	expect_assert_failure(slab_cache_destroy(&cache));
	assert_true(panic_names(test_misuse));
	expect_panic("slab vcpu:", "1 live object:");
	snprintf(address, sizeof(address), "%p", (void *)object);
	assert_non_null(strstr(fake_panic_text, address)); /* which it is */
	/* The pages of a slab are not the page allocator's to free. */
	expect_assert_failure(page_free(hpa_to_direct(hva_to_hpa(large)), other.order));

	assert_int_equal(slab_cache_live(&cache), 1);
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

	slab_cache_init(&cache, "of", 5000, 0, GLOBAL, NULL);
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
	slab_cache_init(&cache, "empty", 1000, 0, SENSITIVE, NULL);
	for (unsigned int i = 0; i < 20; i++)
		slab_free(&cache, slab_alloc(&cache)); /* enough for it to get a per-CPU part */
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
	/* The one in use, one that stays, and that of the object freed last of its slab. */
	assert_in_range(cache.nr_slabs, 1, 3);
	slab_trim(SENSITIVE, NULL);
	assert_int_equal(cache.nr_empty, 0);
	slab_cache_destroy(&cache);
}

static uint64_t conversions(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.conversions;
}

/* Going up and down in the same waves for ever stops to ask for pages; a lasting low gives back. */
static void test_hysteresis(void **state)
{
	static void *object[500];
	uint64_t before = conversions();
	struct slab_cache cache;

	(void)state;
	slab_cache_init(&cache, "wave", 2000, 0, SENSITIVE, NULL);
	for (unsigned int wave = 0; wave < 300; wave++) {
		unsigned int nr = wave < 100 ? ARRAY_SIZE(object) : 60;

		if (wave == 50)
			buddy_fail_after(1); /* from here to 100 nobody may ask */
		for (unsigned int i = 0; i < nr; i++) {
			object[i] = slab_alloc(&cache);
			assert_non_null(object[i]);
		}
		for (unsigned int i = 0; i < nr; i++)
			slab_free(&cache, object[i]);
		if (wave == 99) {
			assert_true(cache.nr_slabs * cache.per_slab >= ARRAY_SIZE(object));
			buddy_fail_after(0);
		}
	}
	assert_true(cache.nr_slabs * cache.per_slab < 2 * 60); /* of 500 */
	assert_int_equal(conversions(), before);
	slab_cache_destroy(&cache);
}

/* When the page allocator fails, slab_alloc does, the cache is as before, and the next works. */
static void test_no_memory(void **state)
{
	struct slab_cache cache;
	void *object[200];

	(void)state;
	slab_cache_init(&cache, "poor", 3000, 0, LOCAL, &owners[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++) {
		uint64_t slabs = cache.nr_slabs;

		buddy_fail_after(1);
		object[i] = slab_alloc(&cache);
		buddy_fail_after(0);
		assert_int_equal(object[i] == NULL, i == cache.per_slab * slabs);
		if (object[i])
			continue;
		assert_int_equal(cache.nr_slabs, slabs);
		assert_int_equal(slab_cache_live(&cache), i);
		object[i] = slab_alloc(&cache);
		assert_non_null(object[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(&cache, object[i]);
	slab_cache_destroy(&cache);
}

/* Out of memory, a cache takes what its sisters keep for later. */
static void test_trim(void **state)
{
	struct slab_cache rich, poor;
	void *object[64];

	(void)state;
	slab_cache_init(&rich, "rich", 4096, 0, GLOBAL, NULL);
	slab_cache_init(&poor, "poor", 4096, 0, GLOBAL, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&rich);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(&rich, object[i]);
	assert_true(rich.nr_empty > 0);
	buddy_fail_after(1);
	object[0] = slab_alloc(&poor);
	buddy_fail_after(0);
	assert_non_null(object[0]);
	assert_int_equal(rich.nr_empty, 0);
	slab_free(&poor, object[0]);
	slab_cache_destroy(&rich);
	slab_cache_destroy(&poor);
}

static void alloc_many(struct slab_cache *cache)
{
	for (unsigned int i = 0; i < 100; i++)
		assert_non_null(slab_alloc(cache));
}

static void expect_bad_free(struct slab_cache *cache, void *object)
{
	expect_assert_failure(slab_free(cache, object));
	expect_panic(cache->name, "free of");
}

/* A head that something wrote over is found, whatever of it that was. */
static void test_corrupted(void **state)
{
	struct slab_cache cache;
	uint64_t *object[3], saved;
	struct slab *slab;

	(void)state;
	slab_cache_init(&cache, "hurt", 2000, 0, GLOBAL, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&cache);
	slab = cache.shared.slab; /* that of object[2] */
	for (unsigned int bit = 0; bit < 64; bit++) {
		slab->tag ^= BIT(bit);
		expect_bad_free(&cache, object[2]);
		slab->tag ^= BIT(bit);
	}
	saved = slab->words[0].free;
	slab->words[0].free |= BIT(63); /* no object, or: free twice */
	expect_assert_failure(alloc_many(&cache));
	assert_non_null(strstr(fake_panic_text, "slab hurt: the free map"));
	slab->words[0].free = saved;
	slab->words[0].remote ^= BIT(63); /* no object, yet it could be freed */
	expect_assert_failure(alloc_many(&cache));
	assert_non_null(strstr(fake_panic_text, "slab hurt: the free map"));
	slab->words[0].remote ^= BIT(63);
	slab->tag++; /* where the list leads there is no slab */
	expect_assert_failure(alloc_many(&cache));
	assert_non_null(strstr(fake_panic_text, "slab hurt: a list is corrupted"));
	slab->tag--;
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
		slab_cache_init(&cache[c], "walk", sizes[c], 8, c % 2 ? GLOBAL : LOCAL,
				c % 2 ? NULL : &owners[c / 2 % 2]);
	for (unsigned int step = 0; step < 60000; step++) {
		unsigned int c = (unsigned int)seed_below(CACHES);
		unsigned int i = (unsigned int)seed_below(LIVE);
		uint8_t mark = (uint8_t)(c * 40 + i % 40 + 1), *o = object[c][i];

		if (!o) {
			object[c][i] = o = slab_zalloc(&cache[c]);
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
		assert_true(step % 16 || slab_cache_live(&cache[c]) == nr[c]);
	}
	for (unsigned int c = 0; c < CACHES; c++) {
		for (unsigned int i = 0; i < LIVE; i++)
			slab_free(&cache[c], object[c][i]);
		assert_int_equal(slab_cache_live(&cache[c]), 0);
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
		cmocka_unit_test_teardown(test_hysteresis, check_all_returned),
		cmocka_unit_test_teardown(test_trim, check_all_returned),
		cmocka_unit_test_teardown(test_corrupted, check_all_returned),
		cmocka_unit_test_teardown(test_no_memory, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
