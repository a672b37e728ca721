/* SPDX-License-Identifier: MIT */
/* mm/pagecache.c: the pages that each CPU keeps in front of the pools. */
#include <pthread.h>
#include <string.h>
#include "unittests/buddy_books.h"
#include "unittests/seed.h"
#include "lib/assert.h"
#include "mm/pagecache.h"
#include "mm/pool.h"

static struct page *page_of(const void *hva)
{
	return pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
}

/* One page after the other takes no lock, and is the warmest one. */
static void test_pair(void **state)
{
	(void)state;
	for (enum mem_class class = SENSITIVE; class < MEM_CLASS_NR; class ++) {
		void *hva = page_alloc(0, class, owner_for(class)), *warm = hva;
		uint32_t locked;

		page_free(hva, 0);
		locked = buddy.lock.next;
		for (unsigned int i = 0; i < 1000; i++) {
			hva = page_alloc(0, class, owner_for(class));
			assert_ptr_equal(hva, warm);
			page_free(hva, 0);
		}
		assert_int_equal(buddy.lock.next, locked);
		assert_int_equal(memory_used(), 0);
		check_books();
	}
}

/* A cache holds no more than it may, and the lock is taken once a batch. */
static void test_batches(void **state)
{
	void *hva[500];

	(void)state;
	for (enum mem_class class = SENSITIVE; class < MEM_CLASS_NR; class ++) {
		uint32_t locked = buddy.lock.next;

		for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++) {
			hva[i] = page_alloc(0, class, owner_for(class));
			assert_true(stats().cached_pages[class] < PAGECACHE_BATCH);
		}
		/* stats() takes it each time. */
		assert_true(buddy.lock.next - locked - ARRAY_SIZE(hva) < 30);
		check_books();
		locked = buddy.lock.next;
		for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++) {
			page_free(hva[i], 0);
			assert_true(stats().cached_pages[class] <= PAGECACHE_MAX);
		}
		assert_true(buddy.lock.next - locked - ARRAY_SIZE(hva) < 30);
		check_books();
	}
}

/* A page freed twice is found in the cache, back in the pool, and taken by two CPUs at once. */
static void test_double_free(void **state)
{
	void *hva = page_alloc(0, GLOBAL, NULL), *other = page_alloc(0, GLOBAL, NULL);

	(void)state;
	page_free(hva, 0);
	expect_assert_failure(page_free(hva, 0));
	assert_non_null(strstr(fake_panic_text, "in a cache"));
	expect_assert_failure(page_free(hva, 1));
	pagecache_drain();
	expect_assert_failure(page_free(hva, 0));

	/* Both CPUs have seen PAGE_USED. The second of the two who take it finds out. */
	page_free(other, 0);
	page_of(other)->state = PAGE_USED;
	page_free(other, 0);
	assert_ptr_equal(page_alloc(0, GLOBAL, NULL), other);
	expect_assert_failure(page_alloc(0, GLOBAL, NULL));
	this_cpu(pagecache).bin[GLOBAL].nr--;
	page_free(other, 0);
}

/* All SENSITIVE memory, the largest runs first. */
static struct {
	void *hva;
	unsigned int order;
} taken[256];
static unsigned int nr_taken;

static void take_all(void)
{
	void *hva;

	for (unsigned int order = PAGE_ORDER_MAX + 1; order-- > 0;)
		while ((hva = page_alloc(order, SENSITIVE, NULL))) {
			taken[nr_taken].hva = hva;
			taken[nr_taken++].order = order;
		}
}

static void give_all(void)
{
	for (; nr_taken; nr_taken--)
		page_free(taken[nr_taken - 1].hva, taken[nr_taken - 1].order);
}

/* Cached pages do not stand in the way of the last large run, nor of a conversion. */
static void test_drained_when_short(void **state)
{
	void *last, *single;

	(void)state;
	take_all();
	/* The largest comes back, and one page of it is on its way through the cache. */
	assert_int_equal(taken[0].order, PAGE_ORDER_MAX);
	page_free(taken[0].hva, PAGE_ORDER_MAX);
	single = page_alloc(0, SENSITIVE, NULL);
	page_free(single, 0);
	assert_true(stats().cached_pages[SENSITIVE] > 0);
	last = page_alloc(PAGE_ORDER_MAX, SENSITIVE, NULL);
	assert_ptr_equal(last, taken[0].hva);
	assert_int_equal(stats().cached_pages[SENSITIVE], 0);
	page_free(last, PAGE_ORDER_MAX);
	page_free(page_alloc(0, SENSITIVE, NULL), 0);
	last = page_alloc(PAGE_ORDER_MAX, LOCAL, &owners[0]);
	assert_non_null(last);
	page_free(last, PAGE_ORDER_MAX);
	taken[0] = taken[--nr_taken];
	give_all();
}

/* A test that counts allocations counts those too that a cache could have served. */
static void test_fault_injection(void **state)
{
	(void)state;
	for (unsigned int n = 1; n < 40; n++) {
		void *hva[40];

		page_free(page_alloc(0, SENSITIVE, NULL), 0);
		buddy_fail_after(n);
		assert_int_equal(stats().cached_pages[SENSITIVE], 0);
		for (unsigned int i = 1; i < n; i++)
			assert_non_null(hva[i] = page_alloc(0, SENSITIVE, NULL));
		assert_null(page_alloc(0, SENSITIVE, NULL));
		assert_non_null(hva[0] = page_alloc(0, SENSITIVE, NULL));
		for (unsigned int i = 0; i < n; i++)
			page_free(hva[i], 0);
	}
	buddy_fail_after(0);
	page_free(page_alloc(0, SENSITIVE, NULL), 0);
	assert_true(stats().cached_pages[SENSITIVE] > 0);
}

static void *other_cpu(void *arg)
{
	void *hva;

	/* Taken by the first CPU. A cache that was never filled is known to the books too. */
	page_free(arg, 0);
	check_books();
	hva = page_alloc(0, SENSITIVE, NULL);
	assert_ptr_equal(hva, arg);
	page_free(page_alloc(0, SENSITIVE, NULL), 0);
	page_free(hva, 0);
	assert_int_equal(this_cpu(pagecache).bin[SENSITIVE].nr, PAGECACHE_BATCH + 1);
	check_books();
	pagecache_retire();
	return NULL;
}

/* Each CPU has its own; what they hold is counted, and one that ends gives it back. */
static void test_two_cpus(void **state)
{
	void *hva = page_alloc(0, SENSITIVE, NULL);
	uint32_t cached = this_cpu(pagecache).bin[SENSITIVE].nr;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, hva), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(this_cpu(pagecache).bin[SENSITIVE].nr, cached);
	assert_int_equal(stats().cached_pages[SENSITIVE], cached);
	check_books();
}

/* Another CPU takes all there is, and ends. */
static void *greedy_cpu(void *arg)
{
	(void)arg;
	take_all();
	pagecache_retire();
	return NULL;
}

/* Who finds no memory asks the other CPUs, who give back all they cache when they next free or miss. */
static void test_asked(void **state)
{
	const struct pagecache *c = &pagecache;

	(void)state;
	for (unsigned int frees = 0; frees < 2; frees++) {
		void *hva[PAGECACHE_BATCH + 2];
		unsigned int nr = 0;
		pthread_t thread;

		for (unsigned int i = 0; i < 4; i++)
			hva[i] = page_alloc(0, i % 2 ? SENSITIVE : GLOBAL, NULL);
		for (unsigned int i = 0; i < 4; i++)
			page_free(hva[i], 0);
		hva[nr++] = page_alloc(0, GLOBAL, NULL);
		assert_true(c->bin[SENSITIVE].nr && c->bin[GLOBAL].nr);
		assert_int_equal(pthread_create(&thread, NULL, greedy_cpu, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_true(c->bin[SENSITIVE].nr && c->bin[GLOBAL].nr);
		assert_int_equal(stats().free_pages[SENSITIVE], c->bin[SENSITIVE].nr);

		if (frees) {
			page_free(hva[--nr], 0);
			assert_int_equal(c->bin[GLOBAL].nr, 1);
		} else {
			while (c->bin[GLOBAL].nr)
				hva[nr++] = page_alloc(0, GLOBAL, NULL);
			assert_true(c->bin[SENSITIVE].nr);
			hva[nr++] = page_alloc(0, GLOBAL, NULL);
			assert_int_equal(c->bin[GLOBAL].nr, 0);
		}
		assert_int_equal(c->bin[SENSITIVE].nr, 0);
		check_books();
		while (nr)
			page_free(hva[--nr], 0);
		assert_true(c->bin[GLOBAL].nr); /* nobody asks any more */
		give_all();
	}
}

/* A random walk of single pages: what a class freed only that class gets, content and all. */
static void test_walk(void **state)
{
	static uint64_t *live[600];
	static enum mem_class class_of[600];
	unsigned int nr = 0;

	(void)state;
	seed_start(0x706370);
	for (unsigned int step = 0; step < 30000; step++) {
		if (nr < ARRAY_SIZE(live) && seed_below(ARRAY_SIZE(live)) >= nr) {
			enum mem_class class = (enum mem_class)seed_below(MEM_CLASS_NR);
			uint64_t *p = page_alloc(0, class, owner_for(class));

			assert_non_null(p);
			assert_true(*p == 0 || *p == 0x100U + class);
			*p = 0x100U + class;
			class_of[nr] = class;
			live[nr++] = p;
		} else {
			unsigned int i = (unsigned int)seed_below(nr);

			assert_int_equal(*live[i], 0x100U + class_of[i]);
			page_free(live[i], 0);
			live[i] = live[--nr];
			class_of[i] = class_of[nr];
		}
		if (step % 1000 == 0) {
			check_books();
			assert_int_equal(memory_used(), nr);
		}
		if (seed_below(5000) == 0)
			page_reclaim();
	}
	while (nr)
		page_free(live[--nr], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_pair, check_all_returned),
		cmocka_unit_test_teardown(test_batches, check_all_returned),
		cmocka_unit_test_teardown(test_double_free, check_all_returned),
		cmocka_unit_test_teardown(test_drained_when_short, check_all_returned),
		cmocka_unit_test_teardown(test_fault_injection, check_all_returned),
		cmocka_unit_test_teardown(test_two_cpus, check_all_returned),
		cmocka_unit_test_teardown(test_asked, check_all_returned),
		cmocka_unit_test_teardown(test_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
