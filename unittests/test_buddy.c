/* SPDX-License-Identifier: MIT */
/* mm/buddy.c: what each call promises of runs and blocks, one case after the other. */
#include "arch/insn.h"
#include "lib/assert.h"
#include "mm/quarantine.h"
#include "unittests/buddy_books.h"

static struct page *page_of(const void *hva)
{
	return pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
}

/* Each order of each class comes aligned, by the alias of its class, and goes back whole. */
static void test_orders(void **state)
{
	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		for (unsigned int order = 0; order <= PAGE_ORDER_MAX; order++) {
			void *hva = page_alloc(order, class, owner_for(class));

			assert_non_null(hva);
			assert_true(IS_ALIGNED(hva_to_hpa(hva).v, PAGE_SIZE << order));
			assert_int_equal(hva_is_local(hva), class == LOCAL);
			assert_int_equal(memory_used(), 1UL << order);
			assert_int_equal(pfn_to_pageblock(hva_to_hpa(hva).v / PAGE_SIZE)->class,
					 class);
			check_books();
			page_free(hva, order);
			assert_int_equal(memory_used(), 0);
		}
		check_books();
	}
}

/* page_zalloc clears what page_alloc may leave. */
static void test_zalloc(void **state)
{
	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		uint8_t *hva = page_alloc(2, class, owner_for(class));

		rep_stosb(hva, 0xa5, PAGE_SIZE << 2);
		page_free(hva, 2);
		assert_ptr_equal(page_zalloc(2, class, owner_for(class)), hva);
		assert_true(fake_ram_is_zero(hva_to_hpa(hva), PAGE_SIZE << 2));
		page_free(hva, 2);
	}
}

/* A wrong free, or a wrong request, is an assertion, and changes nothing. */
static void test_misuse(void **state)
{
	uint8_t *sensitive = page_alloc(2, SENSITIVE, NULL);
	uint8_t *local = page_alloc(0, LOCAL, &owners[0]);
	uint8_t *freed = page_alloc(1, GLOBAL, NULL), *single = page_alloc(0, GLOBAL, NULL);
	uint64_t on_stack = 0;

	(void)state;
	page_free(freed, 1);
	expect_assert_failure(page_free(freed, 1));
	page_free(single, 0);
	expect_assert_failure(page_free(single, 0)); /* free, though no pool has it */
	assert_non_null(strstr(fake_panic_text, "free already, in a cache"));
	assert_true(panic_names(test_misuse));
	expect_assert_failure(page_free_deferred(single, 0));
	expect_assert_failure(page_free(sensitive, 1));
	expect_assert_failure(page_free(sensitive, 3));
	expect_assert_failure(page_free(sensitive + PAGE_SIZE, 0));
	assert_non_null(strstr(fake_panic_text, "inside a run"));
	expect_assert_failure(page_free(sensitive + 8, 2));
	expect_assert_failure(page_free(&on_stack, 0));
	expect_assert_failure(page_free(NULL, 0));
	expect_assert_failure(page_free(hpa_to_direct(HPA(0)), 0)); /* reserved */
	assert_non_null(strstr(fake_panic_text, "not the allocator's"));
	assert_ptr_equal(page_head(pfn_to_page(0x9f)),
			 pfn_to_page(0x9f)); /* behind a run, in none */
	expect_assert_failure(page_free(hpa_to_direct(HPA(MiB(600))), 9)); /* a hole */
	expect_assert_failure(page_free(hpa_to_direct(HPA(GiB(3))), 0));   /* a GiB without RAM */
	expect_assert_failure(page_free(hpa_to_direct(hva_to_hpa(local)), 0));
	expect_assert_failure(page_free(hpa_to_local(hva_to_hpa(sensitive)), 2));
	expect_assert_failure(page_alloc(PAGE_ORDER_MAX + 1, SENSITIVE, NULL));
	expect_assert_failure(page_alloc(0, MEM_CLASS_NR, NULL));
	expect_assert_failure(page_alloc(0, LOCAL, NULL));
	expect_assert_failure(page_alloc(0, GLOBAL, &owners[0]));
	expect_assert_failure(page_alloc(0, SENSITIVE, &owners[0]));
	assert_true(panic_names(test_misuse));
	expect_assert_failure(mem_owner_destroy(&owners[0]));
	assert_true(panic_names(test_misuse));
	assert_non_null(strstr(fake_panic_text, "owner 1 ends with 1 pages in use"));
	expect_assert_failure(mem_owner_init(&owners[1], 0));
	assert_true(panic_names(test_misuse));
	assert_non_null(strstr(fake_panic_text, "number 0"));
	expect_assert_failure(mem_owner_init(&owners[1], OWNER_MAX + 1));
	expect_assert_failure(buddy_add(HPA(0x1000), HPA(0x2000))); /* the buddy's, free */
	expect_assert_failure(buddy_add(HPA(MiB(2)), HPA(MiB(4)))); /* of a larger run */
	expect_assert_failure(buddy_add(HPA(0x92400000), HPA(0x92600000)));
	expect_assert_failure(
		buddy_add(hva_to_hpa(sensitive), HPA(hva_to_hpa(sensitive).v + PAGE_SIZE)));
	expect_assert_failure(buddy_add(HPA(0), HPA(MiB(2)))); /* a part of it is */
	expect_assert_failure(buddy_add(HPA(0x800), HPA(0x1000)));
	check_books();
	page_free(sensitive, 2);
	page_free(local, 0);
}

/* A run in use is cut into runs that go one by one; an owner's idle blocks go when it is asked. */
static void test_split(void **state)
{
	uint8_t *hva = page_alloc(11, LOCAL, &owners[0]);
	uint64_t hides = fake_hides;

	(void)state;
	expect_assert_failure(page_split(hva, 10, 9));
	expect_assert_failure(page_split(hva + PAGE_SIZE, 0, 0));
	page_split(hva, 11, PAGEBLOCK_ORDER);
	expect_assert_failure(page_free(hva, 11));
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(memory_used(), (4 - i) << PAGEBLOCK_ORDER);
		page_free(hva + i * PAGEBLOCK_SIZE, PAGEBLOCK_ORDER);
		check_books();
	}
	assert_int_equal(fake_hides, hides); /* the pool keeps so many */
	mem_owner_trim(&owners[0]);
	assert_int_equal(owners[0].pool.nr_pages, 0);
	assert_true(fake_hides > hides);
	assert_int_equal(pfn_to_pageblock(hva_to_hpa(hva).v / PAGE_SIZE)->class, SENSITIVE);
	check_books();
}

/* A page of a slab is the slab cache's to free. */
static void test_slab_page(void **state)
{
	void *hva = page_alloc(1, SENSITIVE, NULL);

	(void)state;
	page_of(hva)->state = PAGE_SLAB;
	assert_ptr_equal(page_head(page_of(hva) + 1), page_of(hva));
	expect_assert_failure(page_free(hva, 1));
	page_of(hva)->state = PAGE_USED;
	page_free(hva, 1);
}

/* Memory is zero when it has changed class, in each of the directions it can change. */
static void test_scrub(void **state)
{
	uint64_t converted = stats().conversions;
	uint8_t *hva = page_alloc(10, SENSITIVE, NULL);
	hpa_t hpa = hva_to_hpa(hva);

	(void)state;
	rep_stosb(hva, 0x5e, PAGE_SIZE << 10);
	page_free(hva, 10);
	/* The fake exposes nothing but zeros, so this is the sensitive pattern scrubbed. */
	hva = page_alloc(10, LOCAL, &owners[0]);
	assert_ptr_equal(hva, hpa_to_local(hpa));
	rep_stosb(hva, 0x10, PAGE_SIZE << 10);
	page_free(hva, 10);
	mem_owner_destroy(&owners[0]);
	assert_true(fake_ram_is_zero(hpa, PAGE_SIZE << 10));
	assert_int_equal(stats().conversions - converted, 4);

	hva = page_alloc(10, LOCAL, &owners[1]);
	assert_ptr_equal(hva, hpa_to_local(hpa));
	rep_stosb(hva, 0x11, PAGE_SIZE << 10);
	page_free(hva, 10);
	mem_owner_destroy(&owners[1]);
	hva = page_alloc(10, GLOBAL, NULL);
	rep_stosb(hva, 0x91, PAGE_SIZE << 10);
	hpa = hva_to_hpa(hva);
	page_free(hva, 10);
	page_reclaim();
	assert_true(fake_ram_is_zero(hpa, PAGE_SIZE << 10));
}

/* Takes SENSITIVE blocks out of the way, until the next one taken is the lower of free twins. */
static unsigned int take_lone_blocks(void *hva[64])
{
	unsigned int nr = 0;

	for (;; nr++) {
		const struct page *page;

		assert_true(nr < 64);
		hva[nr] = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);
		page = page_of(hva[nr]);
		if (page_to_pfn(page) % 1024 == 0 && page[512].state == PAGE_FREE &&
		    page[512].order == PAGEBLOCK_ORDER)
			break;
	}
	page_free(hva[nr], PAGEBLOCK_ORDER);
	return nr;
}

/* Free twins of different owners stay two runs; of one owner, they become one. */
static void test_twins(void **state)
{
	void *lone[64], *b, *c;
	unsigned int nr = take_lone_blocks(lone);

	(void)state;
	b = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owners[1]);
	c = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owners[2]);
	assert_int_equal(hva_to_hpa(b).v ^ hva_to_hpa(c).v, PAGEBLOCK_SIZE);
	page_free(b, PAGEBLOCK_ORDER);
	page_free(c, PAGEBLOCK_ORDER);
	assert_int_equal(page_of(b)->state, PAGE_FREE);
	assert_int_equal(page_of(c)->state, PAGE_FREE);
	mem_owner_destroy(&owners[1]);
	assert_int_equal(page_of(c)->state, PAGE_FREE);
	mem_owner_destroy(&owners[2]);
	assert_int_equal(page_head(page_of(b))->state, PAGE_FREE);
	assert_true(page_head(page_of(b))->order > PAGEBLOCK_ORDER);
	while (nr--)
		page_free(lone[nr], PAGEBLOCK_ORDER);
}

static void *other_cpu[2];

static void free_other(void)
{
	page_free(other_cpu[0], PAGEBLOCK_ORDER);
	other_cpu[1] = page_alloc(0, LOCAL, &owners[0]);
}

/*
 * While a block is on its way from one class to another the lock is free: another
 * CPU frees its twin, and allocates from the pool the block is meant for.
 */
static void test_convert_races(void **state)
{
	void *lone[64], *mine;
	unsigned int nr = take_lone_blocks(lone);

	(void)state;
	mine = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);
	other_cpu[0] = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);
	assert_int_equal(hva_to_hpa(mine).v ^ hva_to_hpa(other_cpu[0]).v, PAGEBLOCK_SIZE);
	page_free(mine, PAGEBLOCK_ORDER);

	fake_pageblock_hook = free_other;
	mine = page_alloc(3, LOCAL, &owners[0]);
	assert_non_null(other_cpu[1]);
	check_books();
	page_free(other_cpu[1], 0);
	page_free(mine, 3);

	other_cpu[0] = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);
	mine = page_alloc(11, LOCAL, &owners[0]);
	fake_pageblock_hook = free_other; /* now while hiding */
	page_free(mine, 11);
	assert_null(fake_pageblock_hook);
	check_books();
	page_free(other_cpu[1], 0);
	while (nr--)
		page_free(lone[nr], PAGEBLOCK_ORDER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_orders, check_all_returned),
		cmocka_unit_test_teardown(test_zalloc, check_all_returned),
		cmocka_unit_test_teardown(test_misuse, check_all_returned),
		cmocka_unit_test_teardown(test_split, check_all_returned),
		cmocka_unit_test_teardown(test_slab_page, check_all_returned),
		cmocka_unit_test_teardown(test_scrub, check_all_returned),
		cmocka_unit_test_teardown(test_twins, check_all_returned),
		cmocka_unit_test_teardown(test_convert_races, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
