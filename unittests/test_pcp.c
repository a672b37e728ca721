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
	void *hva = page_alloc(0, GLOBAL, NULL), *other = page_alloc(0, GLOBAL, NULL),
	     *last = page_alloc(0, GLOBAL, NULL);

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
	page_free(last, 0);
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

	cpu_number = 1;
	/* Taken by the first CPU. A cache that was never filled is known to the books too. */
	page_free(arg, 0);
	check_books();
	hva = page_alloc(0, SENSITIVE, NULL);
	assert_ptr_equal(hva, arg);
	page_free(page_alloc(0, SENSITIVE, NULL), 0);
	page_free(hva, 0);
	assert_int_equal(pagecache_nr(&this_cpu(pagecache).bin[SENSITIVE]), PAGECACHE_BATCH + 1);
	check_books();
	pagecache_retire();
	return NULL;
}

/* Each CPU has its own; what they hold is counted, and one that ends gives it back. */
static void test_two_cpus(void **state)
{
	void *hva = page_alloc(0, SENSITIVE, NULL);
	uint32_t cached = pagecache_nr(&this_cpu(pagecache).bin[SENSITIVE]);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, hva), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pagecache_nr(&this_cpu(pagecache).bin[SENSITIVE]), cached);
	assert_int_equal(stats().cached_pages[SENSITIVE], cached);
	check_books();
}

/* Another CPU takes all there is, and ends. */
static void *greedy_cpu(void *arg)
{
	(void)arg;
	cpu_number = 1;
	take_all();
	pagecache_retire();
	return NULL;
}

/* Who finds no memory asks the other CPUs, who give back all they cache when they next free or miss. */
static void test_asked(void **state)
{
	const struct pagecache_bin *sensitive = &this_cpu(pagecache).bin[SENSITIVE],
				   *global = &this_cpu(pagecache).bin[GLOBAL];

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
		assert_true(pagecache_nr(sensitive) && pagecache_nr(global));
		assert_int_equal(pthread_create(&thread, NULL, greedy_cpu, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_true(pagecache_nr(sensitive) && pagecache_nr(global));
		assert_int_equal(stats().free_pages[SENSITIVE], pagecache_nr(sensitive));

		if (frees) {
			page_free(hva[--nr], 0);
			assert_int_equal(pagecache_nr(global), 1);
		} else {
			while (pagecache_nr(global))
				hva[nr++] = page_alloc(0, GLOBAL, NULL);
			assert_true(pagecache_nr(sensitive));
			hva[nr++] = page_alloc(0, GLOBAL, NULL);
			assert_int_equal(pagecache_nr(global), 0);
		}
		assert_int_equal(pagecache_nr(sensitive), 0);
		check_books();
		while (nr)
			page_free(hva[--nr], 0);
		assert_true(pagecache_nr(global)); /* nobody asks any more */
		give_all();
	}
}

/* What a bin gave last stays out of its array, but is cached like the others. */
static void test_last(void **state)
{
	void *other = page_alloc(0, SENSITIVE, NULL), *last = page_alloc(0, SENSITIVE, NULL),
	     *first = page_alloc(0, LOCAL, &owners[0]), /* came with its block */
		     *window = page_alloc(0, LOCAL, &owners[0]);
	const struct pagecache_bin *bin = &this_cpu(pagecache).bin[SENSITIVE];
	uint32_t nr = bin->nr;

	(void)state;
	/* The alias of another class, of a page that this CPU gave last. */
	expect_assert_failure(page_free(hpa_to_direct(hva_to_hpa(window)), 0));
	page_free(window, 0);
	page_free(first, 0);
	/* No CPU gave it last any more. */
	page_free(last, 0);
	assert_int_equal(bin->nr, nr + 1);
	assert_ptr_equal(page_alloc(0, SENSITIVE, NULL), last);
	page_free(last, 0);
	assert_int_equal(bin->nr, nr);
	assert_int_equal(pagecache_nr(bin), nr + 1);
	assert_int_equal(stats().cached_pages[SENSITIVE], nr + 1);
	expect_assert_failure(page_free(last, 0));
	assert_non_null(strstr(fake_panic_text, "in a cache"));
	check_books();
	assert_ptr_equal(page_alloc(0, SENSITIVE, NULL), last);
	/* A full array has room for it when all are given back. */
	page_free(last, 0);
	page_free(other, 0);
	pagecache_drain();
	assert_int_equal(stats().cached_pages[SENSITIVE], 0);
	expect_assert_failure(page_free(last, 0));
}

static pthread_barrier_t has_it, go_on;

/* Another CPU, which gives last what the first did, and has it back. */
static void *gives_last(void *hva)
{
	cpu_number = 1;
	page_free(hva, 0);
	assert_ptr_equal(page_alloc(0, SENSITIVE, NULL), hva);
	page_free(hva, 0);
	pthread_barrier_wait(&has_it);
	pthread_barrier_wait(&go_on);
	pagecache_retire();
	return NULL;
}

/* That page is the other CPU's then. */
static void test_last_of_two(void **state)
{
	void *first = page_alloc(0, SENSITIVE, NULL), *last = page_alloc(0, SENSITIVE, NULL), *next;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_barrier_init(&has_it, NULL, 2), 0);
	assert_int_equal(pthread_barrier_init(&go_on, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, gives_last, last), 0);
	pthread_barrier_wait(&has_it);
	next = page_alloc(0, SENSITIVE, NULL);
	assert_ptr_not_equal(next, last);
	pthread_barrier_wait(&go_on);
	assert_int_equal(pthread_join(thread, NULL), 0);
	page_free(next, 0);
	page_free(first, 0);
}

/* What SENSITIVE's bin gave last comes back as GLOBAL memory, and is GLOBAL's. */
static void test_last_converted(void **state)
{
	void *page[PAGEBLOCK_PAGES], *last, *keep, *next;
	uint8_t *run;
	unsigned int order, nr = 0;

	(void)state;
	take_all();
	run = taken[0].hva;
	order = taken[0].order;
	page_split(run, order, PAGEBLOCK_ORDER);
	page_free(run, PAGEBLOCK_ORDER);
	last = page_alloc(0, SENSITIVE, NULL);
	page_free(last, 0);
	while (nr < PAGEBLOCK_PAGES && (page[nr] = page_alloc(0, GLOBAL, NULL)) &&
	       page[nr++] != last)
		;
	assert_ptr_equal(page[nr - 1], last);
	keep = page_alloc(0, GLOBAL, NULL); /* and the block with it */
	page_free(last, 0);
	assert_ptr_equal(page_alloc(0, GLOBAL, NULL), last);
	page_free(last, 0);
	assert_ptr_equal(pagecache_last(&this_cpu(pagecache).bin[GLOBAL]), page_of(last));
	next = page_alloc(0, SENSITIVE, NULL);
	assert_null(next);
	page_free(keep, 0);
	while (--nr)
		page_free(page[nr - 1], 0);
	for (uint64_t i = PAGEBLOCK_PAGES; i < 1UL << order; i += PAGEBLOCK_PAGES)
		page_free(run + i * PAGE_SIZE, PAGEBLOCK_ORDER);
	taken[0] = taken[--nr_taken];
	give_all();
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
		cmocka_unit_test_teardown(test_last, check_all_returned),
		cmocka_unit_test_teardown(test_last_of_two, check_all_returned),
		cmocka_unit_test_teardown(test_last_converted, check_all_returned),
		cmocka_unit_test_teardown(test_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
