/* SPDX-License-Identifier: MIT */
/*
 * The page allocator with RAM all over PHYS_LIMIT, 8 TiB. Of such a machine there are 64 banks of
 * 64 MiB here, since metadata costs real memory, each at an address that tests the width of some number.
 */
#include "unittests/memory.h"
#include "unittests/fake/pageblock.h"
#include "lib/assert.h"
#include "mm/page.h"
#include "mm/pool.h"

#define BANKS	  64
#define BANK_SIZE MiB(64)

static struct mem_owner owner;

static hpa_t bank(unsigned int i)
{
	/* The last one ends where the direct map does. */
	return HPA((PHYS_LIMIT / BANKS) * (i + 1) - BANK_SIZE);
}

static int setup_banks(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BANKS; i++)
		buddy_add(bank(i), HPA(bank(i).v + BANK_SIZE));
	mem_owner_init(&owner, 1);
	return 0;
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
	void *hva[BANKS];

	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		uint64_t seen = 0;

		for (unsigned int i = 0; i < BANKS; i++) {
			uint64_t hpa;

			hva[i] = page_alloc(14, class, class == LOCAL ? &owner : NULL);
			assert_non_null(hva[i]);
			hpa = hva_to_hpa(hva[i]).v;
			assert_int_equal(hva_is_local(hva[i]), class == LOCAL);
			assert_int_equal(hpa, bank((unsigned int)(hpa / (PHYS_LIMIT / BANKS))).v);
			seen |= BIT(hpa / (PHYS_LIMIT / BANKS));
		}
		assert_true(seen == ~0UL);
		assert_null(page_alloc(0, class, class == LOCAL ? &owner : NULL));
		for (unsigned int i = 0; i < BANKS; i++)
			page_free(hva[i], 14);
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
