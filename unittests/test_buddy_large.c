/* SPDX-License-Identifier: MIT */
/*
 * The page allocator with 1 TiB of RAM all over PHYS_LIMIT, 8 TiB: 64 banks of 16 GiB, each at an address
 * that tests the width of some number.
 */
#include <sys/resource.h>
#include "unittests/memory.h"
#include "unittests/fake/pageblock.h"
#include "lib/assert.h"
#include "mm/page.h"
#include "mm/pool.h"

#define BANKS	  64
#define BANK_RUNS 16 /* of PAGE_ORDER_MAX */
#define BANK_SIZE (BANK_RUNS * GiB(1))
#define RUNS	  (BANKS * BANK_RUNS)

static struct mem_owner owner;

static hpa_t bank(unsigned int i)
{
	/* The last one ends where the direct map does. */
	return HPA((PHYS_LIMIT / BANKS) * (i + 1) - BANK_SIZE);
}

/* Pages of this process that were touched for the first time. */
static uint64_t pages_touched(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

/* To add RAM costs something for each block, not for each page: of 4 GiB of metadata little is written. */
static int setup_banks(void **state)
{
	uint64_t touched = pages_touched();

	(void)state;
	for (unsigned int i = 0; i < BANKS; i++)
		buddy_add(bank(i), HPA(bank(i).v + BANK_SIZE));
	touched = pages_touched() - touched;
	mem_owner_init(&owner, 1);
	return touched < MiB(40) / PAGE_SIZE ? 0 : -1;
}

static int check_returned(void **state)
{
	struct buddy_stats s;

	(void)state;
	mem_owner_destroy(&owner);
	page_reclaim();
	buddy_get_stats(&s);
	return memory_used() || s.free_pages[SENSITIVE] != BANKS * BANK_SIZE / PAGE_SIZE ? -1 : 0;
}

/* Every bank gives all it has, by each class, and takes it back. */
static void test_all_banks(void **state)
{
	static void *hva[RUNS];

	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		uint32_t seen[BANKS] = { 0 };

		for (unsigned int i = 0; i < RUNS; i++) {
			unsigned int b;

			hva[i] = page_alloc(PAGE_ORDER_MAX, class, class == LOCAL ? &owner : NULL);
			assert_non_null(hva[i]);
			assert_int_equal(hva_is_local(hva[i]), class == LOCAL);
			b = (unsigned int)(hva_to_hpa(hva[i]).v / (PHYS_LIMIT / BANKS));
			seen[b] |= 1U << (hva_to_hpa(hva[i]).v - bank(b).v) / GiB(1);
		}
		for (unsigned int b = 0; b < BANKS; b++)
			assert_int_equal(seen[b], BIT(BANK_RUNS) - 1);
		assert_null(page_alloc(0, class, class == LOCAL ? &owner : NULL));
		for (unsigned int i = 0; i < RUNS; i++)
			page_free(hva[i], PAGE_ORDER_MAX);
		mem_owner_destroy(&owner);
		page_reclaim();
	}
}

/* Between the banks nothing is the allocator's, and nothing is looked at there. */
static void test_holes(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BANKS; i++) {
		expect_assert_failure(page_free(hpa_to_direct(HPA(bank(i).v - PAGE_SIZE)), 0));
		expect_assert_failure(page_free(hpa_to_local(HPA(bank(i).v - GiB(1))), 0));
	}
	assert_false(buddy_manages(HPA(PHYS_LIMIT)));
	assert_false(buddy_manages(HPA(0)));
	assert_true(buddy_manages(HPA(PHYS_LIMIT - 1)));
}

/* Page metadata stays below what was promised. */
static void test_metadata_share(void **state)
{
	(void)state;
	/* 0.5 %: per 2 MiB, 512 pages and one block. */
	assert_true((512 * sizeof(struct page) + sizeof(struct pageblock)) * 200 <= PAGEBLOCK_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_all_banks, check_returned),
		cmocka_unit_test_teardown(test_holes, check_returned),
		cmocka_unit_test_teardown(test_metadata_share, check_returned),
	};

	return cmocka_run_group_tests(tests, setup_banks, NULL);
}
