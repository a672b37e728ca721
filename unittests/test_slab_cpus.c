/* SPDX-License-Identifier: MIT */
/* mm/slab.c on several CPUs: the test plays them in turn. Each test ends with no page in use. */
#include <string.h>
#include "unittests/memory.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "mm/memmap.h"
#include "mm/slab_internal.h"
#include "unittests/seed.h"

static struct mem_owner owner;

static int setup(void **state)
{
	mem_owner_init(&owner, 1);
	assert_int_equal(memmap_add(MiB(1), MiB(64)), 0);
	return memory_setup(state);
}

static int check_all_returned(void **state)
{
	(void)state;
	cpu_number = 0;
	mem_owner_destroy(&owner);
	return memory_used() ? -1 : 0;
}

/* A cache that has its per-CPU part, and no object. */
static void start(struct slab_cache *cache, size_t size)
{
	void *object[32];

	slab_cache_init(cache, "cpus", size, 0, LOCAL, &owner);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(cache);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(cache, object[i]);
	assert_int_equal(pfn_to_pageblock(hva_to_hpa(cache->cpus).v / PAGE_SIZE)->class, LOCAL);
}

/* The per-CPU part lies in memory of the cache's class; without memory for it, all works. */
static void test_without_cpus(void **state)
{
	struct slab_cache cache;
	void *object[200], *none;

	(void)state;
	slab_cache_init(&cache, "cpus", 1000, 0, LOCAL, &owner);
	none = cache.cpus;
	object[0] = slab_alloc(&cache);
	for (unsigned int round = 0; round < 40; round++) {
		buddy_fail_after(1); /* what is asked for here is not a slab */
		slab_free(&cache, object[0]);
		buddy_fail_after(1);
		object[0] = slab_alloc(&cache);
		assert_non_null(object[0]);
	}
	assert_ptr_equal(cache.cpus, none);
	buddy_fail_after(0);
	for (unsigned int i = 1; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&cache);
	assert_ptr_not_equal(cache.cpus, none);
	assert_true(hva_is_local(cache.cpus));
	assert_int_equal(slab_cache_live(&cache), ARRAY_SIZE(object));
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++) {
		cpu_number = i % CPUS_MAX;
		slab_free(&cache, object[i]);
	}
	assert_int_equal(slab_cache_live(&cache), 0);
	slab_cache_destroy(&cache);
}

/* In the fast path no lock is taken: here they are all held by somebody else. */
static void test_no_lock(void **state)
{
	struct slab_cache cache;
	void *object[200], *more[400]; /* a slab has 509 */
	unsigned int nr_more = 0;
	uint64_t flags, nr;
	struct slab *slab;

	(void)state;
	start(&cache, 64);
	cpu_number = 3;
	slab_free(&cache, slab_alloc(&cache));
	flags = spin_lock(&cache.lock);
	for (unsigned int round = 0; round < 1000; round++) {
		unsigned int nr = round % 100 ? 1 + round % 8 : ARRAY_SIZE(object);

		for (unsigned int i = 0; i < nr; i++)
			object[i] = slab_alloc(&cache);
		for (unsigned int i = 0; i < nr; i++)
			slab_free(&cache, object[i]);
	}
	spin_unlock(&cache.lock, flags);

	/* Nor to free into another slab than the current one, but for its first and last. */
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&cache);
	slab = slab_of(&cache, object[0], &nr);
	while (slab == cache.cpus[3].slab)
		more[nr_more++] = slab_alloc(&cache);
	slab_free(&cache, object[0]);
	flags = spin_lock(&cache.lock);
	for (unsigned int i = 1; i < ARRAY_SIZE(object); i++)
		slab_free(&cache, object[i]);
	spin_unlock(&cache.lock, flags);
	while (nr_more)
		slab_free(&cache, more[--nr_more]);
	slab_cache_destroy(&cache);
}

static void expect_double_free(struct slab_cache *cache, void *object)
{
	expect_assert_failure(slab_free(cache, object));
	assert_non_null(strstr(fake_panic_text, "slab cpus:"));
	assert_non_null(strstr(fake_panic_text, "double free"));
}

/* A CPU has no empty slab but the one that it takes objects from. */
static void check_empty(const struct slab_cache *cache)
{
	const struct list *p;

	list_for_each (p, &cache->slabs) {
		const struct slab *slab = list_entry(p, struct slab, all);

		if (slab_is_empty(cache, slab) && slab->owner != &cache->shared)
			assert_ptr_equal(slab->owner->slab, slab);
	}
}

static struct slab_cache waits;
static struct slab *waiting; /* all of its objects are live */

/* Frees all but the first and the last. */
static void free_between(void)
{
	for (uint64_t nr = 1; nr < waits.per_slab - 1; nr++)
		slab_free(&waits, slab_object(&waits, waiting, nr));
}

/* No free that comes between what others do makes a slab that is empty stay behind. */
static void test_interrupted(void **state)
{
	static void *object[1000];
	uint64_t nr;

	(void)state;
	start(&waits, 64);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = slab_alloc(&waits);
	waiting = slab_of(&waits, object[ARRAY_SIZE(object) / 2], &nr);
	assert_ptr_equal(waiting->owner, &waits.shared);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		if (slab_of(&waits, object[i], &nr) == waiting)
			object[i] = NULL;
	fake_interrupt = free_between;
	slab_free(&waits, slab_object(&waits, waiting, 0));
	assert_null(fake_interrupt);
	assert_ptr_equal(waiting->owner, waits.cpus);
	slab_free(&waits, slab_object(&waits, waiting, waits.per_slab - 1));
	check_empty(&waits);
	for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
		slab_free(&waits, object[i]);
	slab_cache_destroy(&waits);
}

/* A slab that a CPU has given up is no longer near: what it frees there, another CPU has to collect. */
static void test_near(void **state)
{
	static void *object[2000];
	unsigned int live = 1000;
	struct slab_cache cache;
	struct slab *slab;
	uint64_t nr;

	(void)state;
	start(&cache, 64);
	for (unsigned int i = 0; i < live; i++)
		object[i] = slab_alloc(&cache);
	slab = slab_of(&cache, object[0], &nr);
	assert_ptr_equal(slab->owner, &cache.shared);
	slab_free(&cache, object[0]);
	assert_ptr_equal(slab->owner, cache.cpus);
	object[0] = slab_alloc(&cache);
	while (slab->owner == cache.cpus) /* until all of its objects are live again */
		object[live++] = slab_alloc(&cache);

	cpu_number = 1;
	slab_free(&cache, slab_object(&cache, slab, 2));
	assert_ptr_equal(slab->owner, cache.cpus + 1);
	cpu_number = 0;
	slab_free(&cache, slab_object(&cache, slab, 1));
	assert_int_equal(slab->words[0].remote, BIT(1));
	expect_double_free(&cache, slab_object(&cache, slab, 1));
	expect_double_free(&cache, slab_object(&cache, slab, 2));
	assert_int_equal(slab_cache_live(&cache), live - 2);
	for (unsigned int i = 0; i < live; i++)
		if (object[i] != slab_object(&cache, slab, 1) &&
		    object[i] != slab_object(&cache, slab, 2))
			slab_free(&cache, object[i]);
	assert_int_equal(slab_cache_live(&cache), 0);
	slab_cache_destroy(&cache);
}

/* A second free is seen on every CPU, wherever the object went with the first. */
static void test_double_free(void **state)
{
	struct slab_cache cache;
	void *object[300];

	(void)state;
	start(&cache, 128);
	for (uint32_t first = 0; first < 3; first++) {
		for (uint32_t second = 0; second < 3; second++) {
			cpu_number = 0;
			for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
				object[i] = slab_alloc(&cache);
			cpu_number = first;
			for (unsigned int i = 0; i < ARRAY_SIZE(object); i += 2) {
				slab_free(&cache, object[i]);
				cpu_number = second;
				expect_double_free(&cache, object[i]);
				cpu_number = first;
			}
			cpu_number = second;
			for (unsigned int i = 0; i < ARRAY_SIZE(object); i += 2)
				expect_double_free(&cache, object[i]);
			for (unsigned int i = 1; i < ARRAY_SIZE(object); i += 2)
				slab_free(&cache, object[i]);
			assert_int_equal(slab_cache_live(&cache), 0);
		}
	}
	slab_cache_destroy(&cache);
}

/* One CPU allocates, another frees, for ever: memory stays bounded. */
static void test_producer(void **state)
{
	static void *object[500];
	struct slab_cache cache;
	uint64_t most = 0;

	(void)state;
	start(&cache, 100);
	for (unsigned int round = 0; round < 200; round++) {
		cpu_number = 1;
		for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
			object[i] = slab_alloc(&cache);
		cpu_number = 2;
		for (unsigned int i = 0; i < ARRAY_SIZE(object); i++)
			slab_free(&cache, object[i]);
		if (round == 10)
			most = cache.nr_slabs;
	}
	assert_in_range(cache.nr_slabs, 1, most + 2);
	assert_int_equal(slab_cache_live(&cache), 0);
	slab_cache_destroy(&cache);
}

#define CPUS 5
#define LIVE 700

/* A random walk over CPUs: no object is handed out twice, contents stay, counts are right. */
static void walk(size_t size)
{
	static uint8_t *object[LIVE];
	struct slab_cache cache;
	uint64_t nr = 0;

	start(&cache, size);
	for (unsigned int step = 0; step < 40000; step++) {
		unsigned int i = (unsigned int)seed_below(step / 8000 % 2 ? LIVE / 8 : LIVE);
		uint8_t mark = (uint8_t)(i % 251 + 1), *o = object[i];

		cpu_number = (uint32_t)seed_below(CPUS) * 15;
		if (!o) {
			object[i] = o = slab_alloc(&cache);
			memset(o, mark, size);
			nr++;
		} else {
			assert_int_equal(o[0], mark);
			assert_memory_equal(o, o + 1, size - 1);
			object[i] = NULL;
			slab_free(&cache, o);
			nr--;
		}
		if (step % 64 == 0)
			assert_int_equal(slab_cache_live(&cache), nr);
		if (step % 64 == 0)
			check_empty(&cache);
	}
	for (unsigned int i = 0; i < LIVE; i++) {
		slab_free(&cache, object[i]);
		object[i] = NULL;
		check_empty(&cache);
	}
	slab_cache_destroy(&cache);
}

static void test_random_walk(void **state)
{
	(void)state;
	seed_start(0x63707573);
	walk(16);
	walk(72);
	walk(1024);
	walk(5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_without_cpus, check_all_returned),
		cmocka_unit_test_teardown(test_no_lock, check_all_returned),
		cmocka_unit_test_teardown(test_interrupted, check_all_returned),
		cmocka_unit_test_teardown(test_near, check_all_returned),
		cmocka_unit_test_teardown(test_double_free, check_all_returned),
		cmocka_unit_test_teardown(test_producer, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
