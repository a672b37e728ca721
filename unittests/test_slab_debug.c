/* SPDX-License-Identifier: MIT */
/* mm/slab.c as a debug build has it: redzones and poison. */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "mm/memmap.h"
#include "mm/slab_internal.h"
#include "unittests/seed.h"

static int setup(void **state)
{
	assert_int_equal(memmap_add(MiB(1), MiB(64)), 0);
	return memory_setup(state);
}

static int check_all_returned(void **state)
{
	(void)state;
	return memory_used() ? -1 : 0;
}

static void expect_report(const char *what, const void *object)
{
	char address[32];

	snprintf(address, sizeof(address), "%p", object);
	assert_non_null(strstr(fake_panic_text, "slab debug:"));
	assert_non_null(strstr(fake_panic_text, what));
	assert_non_null(strstr(fake_panic_text, address));
}

static void overflow(size_t size)
{
	struct slab_cache cache;
	uint8_t *object;

	slab_cache_init(&cache, "debug", size, 0, SENSITIVE, NULL);
	object = slab_zalloc(&cache);
	object[size - 1] = 1; /* the last that is its own */
	object[size] ^= 1;
	expect_assert_failure(slab_free(&cache, object));
	expect_report("overflow", object);
	object[size] ^= 1;
	slab_free(&cache, object);
	slab_cache_destroy(&cache);
}

/* One byte too far is found when the object is freed, for any size. */
static void test_overflow(void **state)
{
	(void)state;
	for (size_t size = 1; size < 200; size += 3)
		overflow(size);
}

static void use_after_free(struct slab_cache *cache, size_t at)
{
	uint8_t *object = slab_alloc(cache);

	slab_free(cache, object);
	object[at] ^= 0x80;
	expect_assert_failure((void)!slab_alloc(cache));
	expect_report("use after free", object);
	object[at] ^= 0x80;
	slab_free(cache, object); /* it was taken before it was looked at */
}

/* A write to a free object is found when it is handed out again. */
static void test_use_after_free(void **state)
{
	struct slab_cache cache;

	(void)state;
	slab_cache_init(&cache, "debug", 100, 0, SENSITIVE, NULL);
	for (size_t at = 0; at < 100; at += 11)
		use_after_free(&cache, at);
	slab_cache_destroy(&cache);
}

/* What slab_alloc returns does not look usable, what slab_zalloc returns is clear. */
static void test_contents(void **state)
{
	struct slab_cache cache;
	uint8_t *object;

	(void)state;
	slab_cache_init(&cache, "debug", 13, 0, SENSITIVE, NULL);
	object = slab_alloc(&cache);
	for (unsigned int i = 0; i < 13; i++)
		assert_int_equal(object[i], 0x5a);
	slab_free(&cache, object);
	object = slab_zalloc(&cache);
	for (unsigned int i = 0; i < 13; i++)
		assert_int_equal(object[i], 0);
	slab_free(&cache, object);
	expect_assert_failure(slab_free(&cache, object));
	expect_report("double free", object);
	slab_cache_destroy(&cache);
}

static void test_random_walk(void **state)
{
	static const size_t sizes[] = { 1, 24, 500, 32768 };
	static uint8_t *object[60];

	(void)state;
	seed_start(0x64656275);
	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct slab_cache cache;

		slab_cache_init(&cache, "debug", sizes[s], 64, GLOBAL, NULL);
		for (unsigned int step = 0; step < 2000; step++) {
			uint8_t **o = &object[seed_below(ARRAY_SIZE(object))];

			slab_free(&cache, *o);
			*o = *o ? NULL : slab_alloc(&cache);
			if (*o)
				memset(*o, (int)step, sizes[s]);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(object); i++) {
			slab_free(&cache, object[i]);
			object[i] = NULL;
		}
		slab_cache_destroy(&cache);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_overflow, check_all_returned),
		cmocka_unit_test_teardown(test_use_after_free, check_all_returned),
		cmocka_unit_test_teardown(test_contents, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
