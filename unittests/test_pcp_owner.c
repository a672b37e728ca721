/* SPDX-License-Identifier: MIT */
/* mm/pagecache.c: the bins that owners share, and how an owner's pages leave them. */
#include <pthread.h>
#include "unittests/buddy_books.h"
#include "unittests/seed.h"
#include "lib/assert.h"
#include "mm/pagecache.h"
#include "mm/pool.h"

#define CPUS 3 /* besides the one that runs the tests */

/* So many that each bin is that of several. */
static struct mem_owner many[64];

static struct page *page_of(const void *hva)
{
	return pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
}

static uint64_t cached(struct mem_owner *owner)
{
	struct mem_stats s;

	mem_get_stats(LOCAL, owner, &s);
	return s.cached;
}

/* Two pages come and go. The first time one is not of a batch: it comes with the block, or as a cache begins. */
static void use(struct mem_owner *owner)
{
	void *a = page_alloc(0, LOCAL, owner), *b = page_alloc(0, LOCAL, owner);

	assert_non_null(b);
	page_free(b, 0);
	page_free(a, 0);
}

#define USED (PAGECACHE_BATCH + 1) /* what the first use leaves in the cache */

/* Once: an owner who has lost pages in a test that failed is no new one. */
static int setup_many(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		mem_owner_init(&many[i], (uint16_t)(OWNERS + 1 + i));
	return setup(state);
}

static int end(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
		mem_owner_destroy(&many[i]);
	return check_all_returned(state);
}

/* Another owner in the bin of many[0]. */
static struct mem_owner *rival(void)
{
	for (unsigned int i = 1; i < ARRAY_SIZE(many); i++)
		if (pagecache_bin(LOCAL, &many[i]) == pagecache_bin(LOCAL, &many[0]))
			return &many[i];
	fail();
	return NULL;
}

/* Owners are spread over all bins, none of which is that of a class. */
static void test_spread(void **state)
{
	unsigned int nr[PAGECACHE_BINS] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++) {
		assert_in_range(pagecache_bin(LOCAL, &many[i]), LOCAL, PAGECACHE_BINS - 1);
		nr[pagecache_bin(LOCAL, &many[i])]++;
	}
	for (unsigned int n = LOCAL; n < PAGECACHE_BINS; n++)
		assert_in_range(nr[n], ARRAY_SIZE(many) / 16, ARRAY_SIZE(many) / 2);
}

/* However many owners come, a CPU caches no more pages than its bins hold, and each only its owner's. */
static void test_bound(void **state)
{
	void *hva[ARRAY_SIZE(many)][3];

	(void)state;
	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
			for (unsigned int p = 0; p < 3; p++) {
				hva[i][p] = page_alloc(0, LOCAL, &many[i]);
				assert_ptr_equal(
					pfn_to_pageblock(page_to_pfn(page_of(hva[i][p])))->owner,
					&many[i]);
			}
		for (unsigned int i = 0; i < ARRAY_SIZE(many); i++)
			for (unsigned int p = 0; p < 3; p++)
				page_free(hva[i][p], 0);
		assert_true(stats().cached_pages[LOCAL] <=
			    (PAGECACHE_BINS - LOCAL) * PAGECACHE_MAX);
	}
	check_books();
}

/* Takes pages of @owner, and notes them in @hva from @nr on; returns how many there are. */
static unsigned int take(void *hva[], unsigned int nr, unsigned int more, struct mem_owner *owner)
{
	while (more--)
		assert_non_null(hva[nr++] = page_alloc(0, LOCAL, owner));
	return nr;
}

/* Who finds another owner in his bin goes to his pool, and has the bin after so many misses in a row. */
static void test_give_way(void **state)
{
	struct mem_owner *first = &many[0], *second = rival();
	void *hva[2 * PAGECACHE_PATIENCE + USED + 1];
	unsigned int nr = 0;

	(void)state;
	use(first);
	nr = take(hva, nr, PAGECACHE_PATIENCE - 1, second);
	assert_int_equal(cached(first), USED);
	assert_int_equal(cached(second), 0);
	/* The bin's owner needs a batch: the other's misses count anew. */
	nr = take(hva, nr, USED + 1, first);
	nr = take(hva, nr, PAGECACHE_PATIENCE - 1, second);
	assert_int_equal(cached(first), PAGECACHE_BATCH - 1);
	assert_int_equal(cached(second), 0);
	nr = take(hva, nr, 1, second);
	assert_int_equal(cached(first), 0);
	assert_int_equal(cached(second), PAGECACHE_BATCH - 1);
	check_books();
	/* Who frees misses as well. */
	for (unsigned int i = 0; i < PAGECACHE_PATIENCE; i++) {
		assert_int_equal(cached(first), 0);
		page_free(hva[PAGECACHE_PATIENCE - 1 + i], 0);
	}
	assert_int_equal(cached(first), 1);
	assert_int_equal(cached(second), 0);
	while (nr-- > 2 * PAGECACHE_PATIENCE - 1)
		page_free(hva[nr], 0);
	for (unsigned int i = 0; i < PAGECACHE_PATIENCE - 1; i++)
		page_free(hva[i], 0);
}

/* An empty bin is anybody's at once. */
static void test_empty_bin(void **state)
{
	struct mem_owner *first = &many[0], *second = rival();

	(void)state;
	use(first);
	pagecache_drain();
	use(second);
	assert_int_equal(cached(second), USED);
	assert_int_equal(cached(first), 0);
}

/* Two that take turns in one bin: a few locked steps for each page, however long it goes on. */
static void test_turns(void **state)
{
	struct mem_owner *turn[] = { &many[0], rival() };
	uint32_t locked = buddy.lock.next;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		use(turn[i % 2]);
	assert_true(buddy.lock.next - locked < 1000 * 4 * 3);
	check_books();
}

/* What names a class and an owner that do not fit is a panic, also if there are cached pages. */
static void test_misuse(void **state)
{
	static unsigned int i; /* lives through a failed assertion */
	void *hva;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(many); i++) {
		use(&many[i]);
		expect_assert_failure(page_alloc(0, SENSITIVE, &many[i]));
		expect_assert_failure(page_alloc(0, GLOBAL, &many[i]));
		expect_assert_failure(page_alloc(0, LOCAL, NULL));
	}
	hva = page_alloc(0, LOCAL, &many[0]);
	page_free(hva, 0);
	expect_assert_failure(page_free(hva, 0));
	assert_non_null(strstr(fake_panic_text, "free already"));
}

/* What this CPU caches goes with the owner, and when he is asked for what is idle. */
static void test_this_cpu(void **state)
{
	void *hva;

	(void)state;
	use(&many[0]);
	mem_owner_trim(&many[0]);
	assert_int_equal(many[0].pool.nr_pages, 0);
	use(&many[0]);
	mem_owner_destroy(&many[0]);
	assert_int_equal(many[0].pool.nr_pages, 0);
	/* One that had no end, as he has no pages left; another begins in his place. */
	use(&many[0]);
	page_reclaim();
	assert_int_equal(many[0].pool.nr_pages, 0);
	mem_owner_init(&many[0], 77);
	hva = page_alloc(0, LOCAL, &many[0]);
	assert_ptr_equal(pfn_to_pageblock(page_to_pfn(page_of(hva)))->owner, &many[0]);
	page_free(hva, 0);
}

/* An idle block whose pages are cached is found when memory has run out. */
static void test_reclaimed(void **state)
{
	static void *hva[64];
	unsigned int nr = 0;

	(void)state;
	use(&many[0]);
	assert_int_equal(many[0].pool.nr_free_blocks, 0);
	for (unsigned int order = PAGE_ORDER_MAX + 1; order-- > PAGEBLOCK_ORDER;)
		while ((hva[nr] = page_alloc(order, SENSITIVE, NULL)))
			nr++;
	assert_int_equal(many[0].pool.nr_pages, 0);
	check_books();
	for (; nr; nr--)
		page_free(hva[nr - 1], page_of(hva[nr - 1])->order);
}

/* Another CPU: caches pages of an owner, waits, and goes on with what comes then. */
static struct cpu {
	pthread_t thread;
	pthread_barrier_t cached, go_on;
	struct mem_owner *before, *after;
	struct pagecache *cache;
	void *hva; /* freed after the wait, if not NULL */
} cpus[CPUS];

static void *run_cpu(void *arg)
{
	struct cpu *cpu = arg;

	cpu_number = (uint32_t)(cpu - cpus) + 1;
	use(cpu->before);
	cpu->cache = this_cpu_ptr(pagecache);
	pthread_barrier_wait(&cpu->cached);
	pthread_barrier_wait(&cpu->go_on);
	if (cpu->hva)
		page_free(cpu->hva, 0);
	if (cpu->after)
		use(cpu->after);
	check_books();
	pagecache_retire();
	return NULL;
}

/* One at a time: the fake lock is for one thread. */
static void cpu_start(struct cpu *cpu)
{
	assert_int_equal(pthread_barrier_init(&cpu->cached, NULL, 2), 0);
	assert_int_equal(pthread_barrier_init(&cpu->go_on, NULL, 2), 0);
	assert_int_equal(pthread_create(&cpu->thread, NULL, run_cpu, cpu), 0);
	pthread_barrier_wait(&cpu->cached);
}

static void cpu_end(struct cpu *cpu)
{
	pthread_barrier_wait(&cpu->go_on);
	assert_int_equal(pthread_join(cpu->thread, NULL), 0);
}

/* An owner's end takes his pages off all CPUs, at once, and leaves other owners' alone. */
static void test_end_on_cpus(void **state)
{
	struct mem_owner *owner = &many[0], *other = rival();

	(void)state;
	for (unsigned int i = 0; i < CPUS; i++) {
		cpus[i] = (struct cpu){ .before = i ? owner : other, .after = owner };
		cpu_start(&cpus[i]);
	}
	use(owner);
	assert_int_equal(cached(owner), (CPUS - 1) * USED + PAGECACHE_BATCH);
	assert_int_equal(cached(other), USED);
	check_books();
	mem_owner_destroy(owner);
	assert_int_equal(owner->pool.nr_pages, 0);
	assert_int_equal(cached(other), USED);
	check_books();
	for (unsigned int i = 0; i < CPUS; i++)
		assert_int_equal(cpus[i].cache->limit, PAGECACHE_MAX); /* nobody was asked */
	/* The next life of the owner, at the same address. */
	mem_owner_init(owner, 88);
	for (unsigned int i = 0; i < CPUS; i++)
		cpu_end(&cpus[i]);
}

/* A live owner's idle blocks are kept by what other CPUs cache, until those come to give it back; only they are asked. */
static void test_trim_asks(void **state)
{
	struct mem_owner *owner = &many[0], *other = rival();
	void *hva = page_alloc(0, LOCAL, owner);

	(void)state;
	cpus[0] = (struct cpu){ .before = owner, .hva = hva };
	cpus[1] = (struct cpu){ .before = other };
	cpu_start(&cpus[0]);
	cpu_start(&cpus[1]);
	mem_owner_trim(owner);
	assert_int_equal(cached(owner), USED);
	assert_int_equal(owner->pool.nr_pages, PAGEBLOCK_PAGES);
	assert_int_equal(cpus[0].cache->limit, 0);
	assert_int_equal(cpus[1].cache->limit, PAGECACHE_MAX);
	cpu_end(&cpus[0]);
	cpu_end(&cpus[1]);
	mem_owner_trim(owner);
	assert_int_equal(owner->pool.nr_pages, 0);
}

static void *freeing_cpu(void *hva)
{
	cpu_number = 1;
	page_free(hva, 0);
	pagecache_retire();
	return NULL;
}

/* Takes @hva for the rival, wherever it is in the block that he gets. */
static void *taking_cpu(void *hva)
{
	void *page[PAGEBLOCK_PAGES];
	unsigned int nr = 0;

	cpu_number = 1;
	do
		assert_non_null(page[nr] = page_alloc(0, LOCAL, rival()));
	while (page[nr++] != hva && nr < PAGEBLOCK_PAGES);
	assert_ptr_equal(page[nr - 1], hva);
	while (--nr)
		page_free(page[nr - 1], 0);
	pagecache_retire();
	return NULL;
}

/* What a bin gave last to one owner is another's of the same bin when it comes back, and stays his. */
static void test_last_changes_hands(void **state)
{
	struct mem_owner *owner = &many[0];
	void *last, *next;
	pthread_t thread;

	(void)state;
	use(owner);
	last = page_alloc(0, LOCAL, owner);
	assert_int_equal(pthread_create(&thread, NULL, freeing_cpu, last), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	mem_owner_trim(owner);
	assert_int_equal(owner->pool.nr_pages, 0);
	assert_int_equal(pthread_create(&thread, NULL, taking_cpu, last), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	page_free(last, 0);
	next = page_alloc(0, LOCAL, owner);
	assert_ptr_equal(pfn_to_pageblock(page_to_pfn(page_of(next)))->owner, owner);
	page_free(next, 0);
}

/* A random walk of many owners and both classes: everybody gets his own, and all comes back as they end. */
static void test_walk(void **state)
{
	static struct {
		uint64_t *hva;
		unsigned int who;
	} live[800];
	unsigned int nr = 0;

	(void)state;
	seed_start(0x6f776e);
	for (unsigned int step = 0; step < 40000; step++) {
		unsigned int i = (unsigned int)seed_below(ARRAY_SIZE(live));

		if (i >= nr) {
			unsigned int who = (unsigned int)seed_below(LOCAL + 9);
			uint64_t *p =
				page_alloc(0, MIN(who, LOCAL), who < LOCAL ? NULL : &many[who]);

			assert_non_null(p);
			assert_true(*p == 0 || *p == 0x100U + who);
			*p = 0x100U + who;
			live[nr].hva = p;
			live[nr++].who = who;
		} else {
			assert_int_equal(*live[i].hva, 0x100U + live[i].who);
			page_free(live[i].hva, 0);
			live[i] = live[--nr];
		}
		if (step % 1000 == 0) {
			check_books();
			assert_int_equal(memory_used(), nr);
		}
		if (seed_below(3000) == 0)
			mem_owner_trim(&many[LOCAL + seed_below(9)]);
	}
	while (nr)
		page_free(live[--nr].hva, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_spread, end),
		cmocka_unit_test_teardown(test_bound, end),
		cmocka_unit_test_teardown(test_give_way, end),
		cmocka_unit_test_teardown(test_empty_bin, end),
		cmocka_unit_test_teardown(test_turns, end),
		cmocka_unit_test_teardown(test_misuse, end),
		cmocka_unit_test_teardown(test_this_cpu, end),
		cmocka_unit_test_teardown(test_reclaimed, end),
		cmocka_unit_test_teardown(test_end_on_cpus, end),
		cmocka_unit_test_teardown(test_trim_asks, end),
		cmocka_unit_test_teardown(test_last_changes_hands, end),
		cmocka_unit_test_teardown(test_walk, end),
	};

	return cmocka_run_group_tests(tests, setup_many, NULL);
}
