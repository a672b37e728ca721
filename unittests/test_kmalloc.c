/* SPDX-License-Identifier: MIT */
/* mm/kmalloc.c. Tests count what is in use against what the caches of boot hold. */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "mm/memmap.h"
#include "mm/slab_internal.h"
#include "unittests/seed.h"

static struct mem_owner owners[2];

static int setup(void **state)
{
	mem_owner_init(&owners[0], 1);
	mem_owner_init(&owners[1], 2);
	assert_int_equal(memmap_add(MiB(1), MiB(64)), 0);
	memory_setup(state);
	kmalloc_init();
	return 0;
}

static struct mem_owner *owner_for(enum mem_class class)
{
	return class == LOCAL ? &owners[0] : NULL;
}

static int start(void **state)
{
	(void)state;
	return kmalloc_create(&owners[0]) || kmalloc_create(&owners[1]);
}

static int check_none_live(void **state)
{
	struct slab_stats stats;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		kmalloc_destroy(&owners[i]);
		kmalloc_destroy(&owners[i]);
		mem_owner_destroy(&owners[i]);
	}
	for (enum mem_class class = SENSITIVE; class < LOCAL; class ++) {
		slab_get_stats(class, NULL, &stats);
		if (stats.objects)
			return -1;
	}
	return 0;
}

/* Every size around the borders of each kind, in each class. */
static void test_sizes(void **state)
{
	(void)state;
	for (enum mem_class class = SENSITIVE; class < MEM_CLASS_NR; class ++) {
		for (size_t power = 8; power <= MiB(2); power *= 2) {
			for (int i = -2; i <= 4; i++) {
				size_t size =
					power + (i > 1 ? power / 2 + (size_t)i - 3 : (size_t)i);
				uint8_t *p = kzalloc(size, class, owner_for(class)), *q;

				assert_non_null(p);
				assert_true(is_zero(p, size));
				assert_int_equal(class_at(p), class);
				assert_int_equal(hva_is_local(p), class == LOCAL);
				assert_true(IS_ALIGNED((uint64_t)p,
						       size > KMALLOC_SLAB_MAX ? PAGE_SIZE : 16));
				memset(p, 0xa5, size);
				q = kmalloc(size, class, owner_for(class));
				memset(q, 0x11, size);
				assert_int_equal(p[0], 0xa5);
				assert_memory_equal(p, p + 1, size - 1);
				if (size <= KMALLOC_SLAB_MAX) {
					const struct slab_cache *cache = slab_cache_of(p);

					/* Less than as much again, or the least there is. */
					assert_true(cache->size >= size);
					assert_true(cache->size < 2 * size || cache->size == 16);
				}
				kfree(p);
				kfree(q);
			}
		}
	}
	kfree(NULL);
}

/* Two owners never share a page, nor do two classes. */
static void test_apart(void **state)
{
	void *p[4];

	(void)state;
	p[0] = kmalloc(40, LOCAL, &owners[0]);
	p[1] = kmalloc(40, LOCAL, &owners[1]);
	p[2] = kmalloc(40, GLOBAL, NULL);
	p[3] = kmalloc(40, SENSITIVE, NULL);
	for (unsigned int i = 0; i < 4; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(hva_to_hpa(p[i]).v / PAGE_SIZE_2M,
					     hva_to_hpa(p[j]).v / PAGE_SIZE_2M);
	for (unsigned int i = 0; i < 4; i++)
		kfree(p[i]);
}

static void expect_kmalloc(size_t size, enum mem_class class, struct mem_owner *owner)
{
	expect_assert_failure((void)!kmalloc(size, class, owner));
	assert_non_null(strstr(fake_panic_text, "called from 0x"));
	expect_assert_failure((void)!kzalloc(size, class, owner));
	assert_non_null(strstr(fake_panic_text, "kmalloc of"));
}

static void expect_kfree(void *hva, const char *why)
{
	expect_assert_failure(kfree(hva));
	assert_non_null(strstr(fake_panic_text, "called from 0x"));
	assert_non_null(strstr(fake_panic_text, why));
}

/* Each misuse is an assertion that says what and who. */
static void test_misuse(void **state)
{
	static struct mem_owner unprepared, lost;
	struct slab_cache cache;
	uint8_t *p, *large, *page;
	uint64_t on_stack = 0;

	(void)state;
	mem_owner_init(&unprepared, 3);
	expect_kmalloc(0, GLOBAL, NULL);
	expect_kmalloc(GiB(1) + 1, SENSITIVE, NULL);
	expect_kmalloc(~0UL, SENSITIVE, NULL);
	expect_kmalloc(10, LOCAL, NULL);
	expect_kmalloc(10, GLOBAL, &owners[0]);
	expect_kmalloc(10, LOCAL, &unprepared);
	expect_kmalloc(10, MEM_CLASS_NR, NULL);

	p = kmalloc(100, GLOBAL, NULL);
	large = kmalloc(100000, SENSITIVE, NULL);
	page = page_alloc(2, SENSITIVE, NULL);
	slab_cache_init(&cache, "own", 100, 0, GLOBAL, NULL);
	expect_kfree(&on_stack, "not RAM");
	expect_kfree(hpa_to_direct(HPA(GiB(3))), "not RAM");
	expect_kfree(hpa_to_direct(HPA(0)), "did not hand out"); /* reserved */
	expect_assert_failure(kfree(hpa_to_local(hva_to_hpa(large))));
	assert_true(panic_names(test_misuse));
	expect_kfree(p + 8, "object starts");
	expect_kfree(large + PAGE_SIZE, "did not hand out");
	expect_kfree(large + 8, "did not hand out");
	expect_kfree(page, "did not hand out");
	kfree(p);
	expect_kfree(p, "double free");
	kfree(large);
	expect_kfree(large, "is free");
	p = slab_alloc(&cache);
	expect_kfree(p, "which is of slab own");
	slab_free(&cache, p);
	slab_cache_destroy(&cache);
	page_free(page, 2);

	expect_assert_failure((void)!kmalloc_create(&owners[0])); /* it has them */
	mem_owner_init(&lost, 4); /* what it has is lost here: in the end that was a panic */
	assert_int_equal(kmalloc_create(&lost), 0);
	p = kmalloc(100, LOCAL, &lost);
	expect_assert_failure(kmalloc_destroy(&lost));
	assert_non_null(strstr(fake_panic_text, "kmalloc-128: destroyed with 1 live object"));
}

/* When memory runs out, NULL or an error comes back, at each place in turn, and nothing is lost. */
static void test_no_memory(void **state)
{
	static const size_t sizes[] = { 1, 100, 5000, 32768, 32769, 1000000 };
	struct mem_owner owner;
	uint64_t used;

	(void)state;
	mem_owner_init(&owner, 9);
	used = memory_used();
	buddy_fail_after(1);
	assert_int_equal(kmalloc_create(&owner), -ENOMEM);
	kmalloc_destroy(&owner);
	mem_owner_destroy(&owner);
	assert_int_equal(memory_used(), used);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(kmalloc_create(&owner), 0);
		buddy_fail_after(1);
		assert_null(kmalloc(sizes[i], LOCAL, &owner));
		buddy_fail_after(1);
		assert_null(kzalloc(sizes[i], LOCAL, &owner));
		buddy_fail_after(0);
		kfree(kmalloc(sizes[i], LOCAL, &owner));
		kmalloc_destroy(&owner);
		mem_owner_destroy(&owner);
		assert_int_equal(memory_used(), used);
	}
}

/* Sizes at random, all classes: contents stay, statistics agree with the model. */
static void test_random_walk(void **state)
{
	static struct {
		uint8_t *p;
		size_t size;
		enum mem_class class;
	} live[400];
	uint64_t nr[MEM_CLASS_NR] = { 0 };
	struct slab_stats stats;

	(void)state;
	seed_start(0x6b6d616c);
	for (unsigned int step = 0; step < 40000; step++) {
		unsigned int i = (unsigned int)seed_below(ARRAY_SIZE(live));
		enum mem_class class = (enum mem_class)seed_below(MEM_CLASS_NR);
		size_t size = 1 + seed_below(1UL << (1 + seed_below(15)));

		if (live[i].p) {
			assert_int_equal(live[i].p[0], (uint8_t)i);
			assert_memory_equal(live[i].p, live[i].p + 1, live[i].size - 1);
			kfree(live[i].p);
			live[i].p = NULL;
			nr[live[i].class]--;
			continue;
		}
		live[i].p = kmalloc(size, class, owner_for(class));
		live[i].size = size;
		live[i].class = class;
		memset(live[i].p, (int)(uint8_t)i, size);
		nr[class]++;
		slab_get_stats(class, owner_for(class), &stats);
		assert_int_equal(stats.objects, nr[class]);
		assert_true(stats.objects_bytes <= stats.bytes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(live); i++)
		kfree(live[i].p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sizes, start, check_none_live),
		cmocka_unit_test_setup_teardown(test_apart, start, check_none_live),
		cmocka_unit_test_setup_teardown(test_no_memory, start, check_none_live),
		cmocka_unit_test_setup_teardown(test_random_walk, start, check_none_live),
		cmocka_unit_test_setup_teardown(test_misuse, start, check_none_live),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
