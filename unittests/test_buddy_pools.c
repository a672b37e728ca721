/* SPDX-License-Identifier: MIT */
/* mm/pageblock.c and mm/pagealloc.c: what pools keep, what they give back, and when memory has run out. */
#include "arch/insn.h"
#include "lib/assert.h"
#include "mm/quarantine.h"
#include "unittests/buddy_books.h"

/* Blocks that a pool keeps when @nr come free at once: see IDLE_MIN in mm/pageblock.c. */
static uint64_t blocks_kept(uint64_t nr)
{
	uint64_t limit = MIN(4 + nr / 8, 16);

	return nr <= limit ? nr : limit / 4;
}

/* A pool keeps a few free blocks, not as many as came free, so it neither thrashes nor hoards. */
static void test_hysteresis(void **state)
{
	void *hva[20];
	uint64_t conversions = 0;

	(void)state;
	for (unsigned int order = PAGEBLOCK_ORDER; order <= PAGE_ORDER_MAX; order++) {
		page_free(page_alloc(order, LOCAL, &owners[0]), order);
		assert_int_equal(owners[0].pool.nr_pages, blocks_kept(1UL << (order - 9)) * 512);
		assert_int_equal(owners[0].pool.nr_free, owners[0].pool.nr_pages);
		check_books();
		mem_owner_destroy(&owners[0]);
	}
	/* A load that comes and goes converts the first time only; of one more block the cache holds single pages. */
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 4; i++)
			hva[i] = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owners[0]);
		if (!round)
			conversions = stats().conversions;
		for (unsigned int i = 0; i < 4; i++)
			page_free(hva[i], PAGEBLOCK_ORDER);
		page_free(page_alloc(round % 10, LOCAL, &owners[0]), round % 10);
	}
	assert_int_equal(stats().conversions, conversions + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		hva[i] = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owners[0]);
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		page_free(hva[i], PAGEBLOCK_ORDER);
	assert_true(owners[0].pool.nr_pages <= 6 * 512);
	mem_owner_destroy(&owners[0]);
	assert_int_equal(owners[0].pool.nr_pages, 0);
}

/* Where nobody may wait, nothing is hidden: the surplus goes back with a later free. */
static void test_cannot_wait(void **state)
{
	uint64_t hides = fake_hides;

	(void)state;
	fake_tlb_can_wait = false;
	page_free(page_alloc(12, LOCAL, &owners[0]), 12);
	assert_int_equal(fake_hides, hides);
	assert_int_equal(owners[0].pool.nr_free_blocks, 8);
	fake_tlb_can_wait = true;
	page_free(page_alloc(1, LOCAL, &owners[0]), 1);
	assert_int_equal(owners[0].pool.nr_free_blocks, 1);
}

/* Takes every run of SENSITIVE memory, large ones first, until only idle blocks of others are left. */
static unsigned int take_all(void *hva[], unsigned int order[], unsigned int max)
{
	unsigned int nr = 0;

	for (unsigned int o = PAGE_ORDER_MAX + 1; o-- > 0;) {
		while ((hva[nr] = page_alloc(o, SENSITIVE, NULL))) {
			order[nr++] = o;
			assert_true(nr < max);
		}
	}
	return nr;
}

/* When SENSITIVE memory runs out, the idle blocks of every other pool come back. */
static void test_idle_reclaimed(void **state)
{
	static void *hva[256];
	static unsigned int order[256];
	unsigned int nr;

	(void)state;
	for (unsigned int i = 0; i < OWNERS; i++)
		page_free(page_alloc(10, LOCAL, &owners[i]), 10);
	page_free(page_alloc(10, GLOBAL, NULL), 10);
	assert_int_equal(stats().free_pages[LOCAL], OWNERS * 1024);

	fake_tlb_can_wait = false;
	nr = take_all(hva, order, ARRAY_SIZE(hva));
	assert_int_equal(memory_used(), stats().total_pages - (OWNERS + 1) * 1024);
	assert_null(page_alloc(0, SENSITIVE, NULL));
	fake_tlb_can_wait = true;
	nr += take_all(hva + nr, order + nr, ARRAY_SIZE(hva) - nr);
	assert_int_equal(memory_used(), stats().total_pages);
	assert_int_equal(stats().block_pages[LOCAL] + stats().block_pages[GLOBAL], 0);
	check_books();
	while (nr--)
		page_free(hva[nr], order[nr]);
}

/* So they do when another owner needs them: its memory is other blocks' scrubbed ones. */
static void test_idle_to_other_owner(void **state)
{
	static void *hva[256];
	static unsigned int order[256];
	unsigned int nr;
	uint8_t *mine;
	hpa_t hpa;

	(void)state;
	mine = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owners[1]);
	hpa = hva_to_hpa(mine);
	rep_stosb(mine, 0x11, PAGEBLOCK_SIZE);
	fake_tlb_can_wait = false;
	nr = take_all(hva, order, ARRAY_SIZE(hva));
	fake_tlb_can_wait = true;
	page_free(mine, PAGEBLOCK_ORDER);
	mine = page_alloc(3, LOCAL, &owners[2]);
	assert_non_null(mine);
	assert_int_equal(hva_to_hpa(mine).v & ~(PAGEBLOCK_SIZE - 1), hpa.v);
	assert_true(fake_ram_is_zero(hpa, PAGEBLOCK_SIZE));
	assert_int_equal(owners[1].pool.nr_pages, 0);
	page_free(mine, 3);
	while (nr--)
		page_free(hva[nr], order[nr]);
}

/* What a class and an owner have is told right; marks stay when memory goes. */
static void test_accounting(void **state)
{
	struct mem_stats s;
	void *hva[2];

	(void)state;
	mem_owner_init(&owners[0], 1);
	hva[0] = page_alloc(3, LOCAL, &owners[0]);
	hva[1] = page_alloc(10, LOCAL, &owners[0]);
	page_free(hva[0], 3);
	mem_get_stats(LOCAL, &owners[0], &s);
	assert_int_equal(s.pages, 1536);
	assert_int_equal(s.blocks, 3);
	assert_int_equal(s.free, 512);
	assert_int_equal(s.cached, 0);
	assert_int_equal(s.deferred, 0);
	assert_int_equal(s.converted_in, 3);
	assert_int_equal(s.converted_out, 0);
	assert_int_equal(s.peak, 1024 + 8);
	page_free_deferred(hva[1], 10);
	mem_get_stats(LOCAL, &owners[0], &s);
	assert_int_equal(s.deferred, 1024);
	assert_int_equal(s.free, 512);
	mem_owner_destroy(&owners[0]);
	mem_get_stats(LOCAL, &owners[0], &s);
	assert_int_equal(s.pages + s.free + s.deferred + s.blocks, 0);
	assert_int_equal(s.converted_out, 3);
	assert_int_equal(s.peak, 1024 + 8);

	page_free(page_alloc(0, GLOBAL, NULL), 0);
	mem_get_stats(GLOBAL, NULL, &s);
	assert_int_equal(s.pages, 512);
	assert_int_equal(s.free, 512);
	assert_true(s.cached > 0);
}

/* The n-th allocation from now fails, once; nothing is taken or converted for it. */
static void test_fault_injection(void **state)
{
	uint64_t failures = stats().failures;

	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		for (unsigned int n = 1; n <= 3; n++) {
			buddy_fail_after(n);
			for (unsigned int i = 1; i <= 4; i++) {
				void *hva = page_zalloc(1, class, owner_for(class));

				assert_int_equal(hva == NULL, i == n);
				if (hva)
					page_free(hva, 1);
			}
		}
	}
	assert_int_equal(stats().failures - failures, 9);
}

/* When memory has run out each class gets NULL, and all of it comes back afterwards. */
static void test_exhaustion(void **state)
{
	static void *hva[PAGE_ORDER_MAX + 1][64];
	uint64_t total = stats().total_pages;

	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		unsigned int order = PAGE_ORDER_MAX + 1;
		unsigned int nr[PAGE_ORDER_MAX + 1] = { 0 };

		while (order-- > 0)
			while ((hva[order][nr[order]] = page_alloc(order, class, owner_for(class))))
				nr[order]++;
		for (unsigned int c = 0; c < MEM_CLASS_NR; c++)
			if (c == class)
				assert_null(page_alloc(0, c, owner_for(c)));
		if (class == SENSITIVE)
			assert_true(memory_used() + stats().block_pages[GLOBAL] == total);
		check_books();
		for (order = 0; order <= PAGE_ORDER_MAX; order++)
			while (nr[order])
				page_free(hva[order][--nr[order]], order);
		mem_owner_destroy(&owners[0]);
		assert_int_equal(memory_used(), 0);
		check_books();
	}
}

/* A thousand owners come and go, and the count of converted blocks goes up by what it must. */
static void test_owners_come_and_go(void **state)
{
	uint64_t conversions = stats().conversions, hides = fake_hides, exposes = fake_exposes;

	(void)state;
	for (uint16_t n = 0; n < 1000; n++) {
		struct mem_owner owner;
		void *a, *b;

		mem_owner_init(&owner, (uint16_t)(n % OWNER_MAX + 1));
		a = page_alloc(0, LOCAL, &owner);
		b = page_alloc(11, LOCAL, &owner);
		page_free(a, 0);
		page_free(b, 11);
		mem_owner_destroy(&owner);
		assert_int_equal(memory_used(), 0);
	}
	assert_int_equal(stats().conversions - conversions, 1000 * 2 * 5);
	assert_int_equal(fake_exposes - exposes, 2000);
	assert_true(fake_hides - hides <= 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_hysteresis, check_all_returned),
		cmocka_unit_test_teardown(test_cannot_wait, check_all_returned),
		cmocka_unit_test_teardown(test_idle_reclaimed, check_all_returned),
		cmocka_unit_test_teardown(test_idle_to_other_owner, check_all_returned),
		cmocka_unit_test_teardown(test_accounting, check_all_returned),
		cmocka_unit_test_teardown(test_fault_injection, check_all_returned),
		cmocka_unit_test_teardown(test_exhaustion, check_all_returned),
		cmocka_unit_test_teardown(test_owners_come_and_go, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
