/* SPDX-License-Identifier: MIT */
/* mm/quarantine.c: what other CPUs may still reach is not reused before all of them have flushed. */
#include <string.h>
#include "unittests/buddy_books.h"
#include "unittests/seed.h"
#include "arch/insn.h"
#include "lib/assert.h"
#include "mm/pool.h"
#include "mm/quarantine.h"

static struct page *page_of(const void *hva)
{
	return pfn_to_page(hpa_to_pfn(hva_to_hpa(hva)));
}

/* All CPUs have flushed, for reasons of their own. */
static void all_pass(void)
{
	fake_tlb_ended = ++fake_tlb_begun;
}

static int restore(void **state)
{
	fake_tlb_can_wait = true;
	fake_irqs_on = true;
	return check_all_returned(state);
}

/* It waits, in each class and order, and comes back when all have passed, without a flush of ours. */
static void test_waits(void **state)
{
	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		for (unsigned int order = 0; order <= PAGEBLOCK_ORDER; order++) {
			void *hva = page_alloc(order, class, owner_for(class));
			uint64_t flushes = fake_tlb_flushes;

			page_free_deferred(hva, order);
			assert_int_equal(page_of(hva)->state, PAGE_DEFERRED);
			assert_int_equal(stats().deferred_pages, 1U << order);
			assert_int_equal(memory_used(), 1U << order);
			assert_false(quarantine_drain());
			check_books();
			all_pass();
			assert_true(quarantine_drain());
			assert_int_equal(stats().deferred_pages, 0);
			assert_int_equal(memory_used(), 0);
			assert_int_equal(fake_tlb_flushes, flushes);
			check_books();
		}
	}
}

/* Oldest first, and only those whose generation has passed. */
static void test_order(void **state)
{
	void *hva[3][4];

	(void)state;
	for (unsigned int g = 0; g < 3; g++) {
		for (unsigned int i = 0; i < 4; i++) {
			hva[g][i] = page_alloc(1, SENSITIVE, NULL);
			page_free_deferred(hva[g][i], 1);
		}
		fake_tlb_begun++; /* a flush that has not ended */
	}
	for (unsigned int g = 0; g < 3; g++) {
		assert_false(quarantine_drain());
		fake_tlb_ended = fake_tlb_begun - 2 + g;
		assert_true(quarantine_drain());
		assert_int_equal(stats().deferred_pages, (2 - g) * 8);
		for (unsigned int i = 0; g < 2 && i < 4; i++)
			assert_int_equal(page_of(hva[g + 1][i])->state, PAGE_DEFERRED);
		check_books();
	}
}

/* Too many at once are flushed out, once for all of them; where nobody may wait they stay. */
static void test_bounded(void **state)
{
	static void *hva[3 * QUARANTINE_MAX];
	uint64_t flushes = fake_tlb_flushes;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		hva[i] = page_alloc(0, GLOBAL, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++) {
		page_free_deferred(hva[i], 0);
		assert_true(stats().deferred_pages <= QUARANTINE_MAX);
	}
	assert_int_equal(fake_tlb_flushes - flushes, 2);
	quarantine_flush();

	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		hva[i] = page_alloc(0, GLOBAL, NULL);
	flushes = fake_tlb_flushes;
	fake_tlb_can_wait = false;
	for (unsigned int i = 0; i < ARRAY_SIZE(hva); i++)
		page_free_deferred(hva[i], 0);
	assert_int_equal(fake_tlb_flushes, flushes);
	assert_int_equal(stats().deferred_pages, ARRAY_SIZE(hva));
	fake_tlb_can_wait = true;
	page_free_deferred(page_alloc(0, GLOBAL, NULL), 0);
	assert_int_equal(fake_tlb_flushes - flushes, 1);
	assert_int_equal(stats().deferred_pages, 0);
}

/* Everything else is in use: what has passed is taken without a flush, the rest with one. */
static void test_pressure(void **state)
{
	static void *hva[256];
	static unsigned int order[256];
	unsigned int nr = 0;
	uint64_t flushes = fake_tlb_flushes;

	(void)state;
	for (unsigned int o = PAGE_ORDER_MAX + 1; o-- > 0;)
		for (; (hva[nr] = page_alloc(o, SENSITIVE, NULL)); nr++)
			order[nr] = o;
	page_free_deferred(hva[0],
			   order[0]); /* 1 GiB: over the bound by itself, so it is flushed */
	assert_int_equal(fake_tlb_flushes - flushes, 1);
	hva[0] = page_alloc(order[0], SENSITIVE, NULL);
	assert_non_null(hva[0]);

	page_free_deferred(hva[nr - 1], order[nr - 1]);
	fake_tlb_can_wait = false;
	assert_null(page_alloc(order[nr - 1], SENSITIVE, NULL));
	all_pass();
	assert_ptr_equal(page_alloc(order[nr - 1], SENSITIVE, NULL), hva[nr - 1]);
	page_free_deferred(hva[nr - 1], order[nr - 1]);
	fake_tlb_can_wait = true;
	assert_ptr_equal(page_alloc(order[nr - 1], SENSITIVE, NULL), hva[nr - 1]);
	assert_int_equal(fake_tlb_flushes - flushes, 2);
	while (nr--)
		page_free(hva[nr], order[nr]);
}

static void *late;

static void free_late(void)
{
	page_free_deferred(late, 0);
}

/* Unmapped by an interrupt while a flush is under way: perhaps too late for it, so it waits on. */
static void test_during_flush(void **state)
{
	void *early = page_alloc(0, GLOBAL, NULL);

	(void)state;
	late = page_alloc(0, GLOBAL, NULL);
	page_free_deferred(early, 0);
	fake_pageblock_hook = free_late;
	assert_true(quarantine_flush());
	assert_null(fake_pageblock_hook);
	assert_int_not_equal(page_of(early)->state, PAGE_DEFERRED);
	assert_int_equal(page_of(late)->state, PAGE_DEFERRED);
	assert_true(quarantine_flush());
	assert_false(quarantine_flush());
}

/* With interrupts off nothing turns them on, and nothing else is needed. */
static void test_interrupt_context(void **state)
{
	void *hva = page_alloc(3, LOCAL, &owners[0]);

	(void)state;
	fake_irqs_on = false;
	fake_ram_forbid(true);
	page_free_deferred(hva, 3);
	fake_ram_forbid(false);
	assert_false(fake_irqs_on);
	assert_int_equal(owners[0].pool.nr_deferred, 8);
}

/* An owner's end takes what is waiting along; the memory is scrubbed as ever. */
static void test_owner_ends(void **state)
{
	uint8_t *hva = page_alloc(4, LOCAL, &owners[0]);
	hpa_t hpa = hva_to_hpa(hva);
	uint64_t flushes = fake_tlb_flushes;

	(void)state;
	rep_stosb(hva, 0x77, PAGE_SIZE << 4);
	page_free_deferred(hva, 4);
	mem_owner_destroy(&owners[0]);
	assert_int_equal(fake_tlb_flushes - flushes, 1);
	assert_int_equal(owners[0].pool.nr_pages, 0);
	assert_true(fake_ram_is_zero(hpa, PAGE_SIZE << 4));
	mem_owner_destroy(&owners[0]);
	assert_int_equal(fake_tlb_flushes - flushes, 1); /* nothing waits: nothing is flushed */
}

static void test_misuse(void **state)
{
	uint8_t *hva = page_alloc(2, SENSITIVE, NULL), *single = page_alloc(0, SENSITIVE, NULL);

	(void)state;
	expect_assert_failure(page_free_deferred(hva, 1));
	expect_assert_failure(page_free_deferred(hva + PAGE_SIZE, 0));
	expect_assert_failure(page_free_deferred(hpa_to_local(hva_to_hpa(hva)), 2));
	expect_assert_failure(page_free_deferred(hpa_to_direct(HPA(GiB(3))), 0));
	expect_assert_failure(page_free_deferred(NULL, 0));
	page_free_deferred(hva, 2);
	expect_assert_failure(page_free_deferred(hva, 2));
	expect_assert_failure(page_free(hva, 2));
	assert_non_null(strstr(fake_panic_text, "deferred"));
	assert_true(fake_panic_rip - (uint64_t)test_misuse < 4096);
	page_free(single, 0);
	expect_assert_failure(page_free_deferred(single, 0));
	quarantine_flush();
	expect_assert_failure(page_free_deferred(hva, 2));
}

/* A random walk: a run that is handed out was freed before a flush that all CPUs have ended. */
static void test_walk(void **state)
{
	static struct {
		void *hva;
		unsigned int order;
	} live[300];
	static uint64_t freed_at[PAGES]; /* generation + 1 of the last deferred free */
	unsigned int nr = 0;

	(void)state;
	seed_start(0x71756172);
	for (unsigned int step = 0; step < 20000; step++) {
		uint64_t what = seed_below(100);

		if (what < 50 && nr < ARRAY_SIZE(live)) {
			enum mem_class class = (enum mem_class)seed_below(MEM_CLASS_NR);
			unsigned int order = (unsigned int)seed_below(8);
			void *hva = page_alloc(order, class, owner_for(class));
			pfn_t pfn = hva_to_hpa(hva).v / PAGE_SIZE;

			assert_non_null(hva);
			for (pfn_t p = pfn; p < pfn + (1UL << order); p++) {
				assert_true(!freed_at[p] || fake_tlb_ended > freed_at[p] - 1);
				freed_at[p] = 0;
			}
			live[nr].hva = hva;
			live[nr++].order = order;
		} else if (what < 90 && nr) {
			unsigned int i = (unsigned int)seed_below(nr);
			pfn_t pfn = hva_to_hpa(live[i].hva).v / PAGE_SIZE;

			if (what < 70) {
				page_free(live[i].hva, live[i].order);
			} else {
				for (pfn_t p = pfn; p < pfn + (1UL << live[i].order); p++)
					freed_at[p] = fake_tlb_begun + 1;
				page_free_deferred(live[i].hva, live[i].order);
			}
			live[i] = live[--nr];
		} else if (what < 94) {
			fake_tlb_begun++;
		} else if (what < 97) {
			fake_tlb_ended = fake_tlb_begun;
		} else if (what < 98) {
			fake_tlb_can_wait = !fake_tlb_can_wait;
		} else {
			quarantine_drain();
		}
		if (step % 1000 == 0)
			check_books();
	}
	fake_tlb_can_wait = true;
	while (nr--)
		page_free(live[nr].hva, live[nr].order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_waits, restore),
		cmocka_unit_test_teardown(test_order, restore),
		cmocka_unit_test_teardown(test_bounded, restore),
		cmocka_unit_test_teardown(test_pressure, restore),
		cmocka_unit_test_teardown(test_during_flush, restore),
		cmocka_unit_test_teardown(test_interrupt_context, restore),
		cmocka_unit_test_teardown(test_owner_ends, restore),
		cmocka_unit_test_teardown(test_misuse, restore),
		cmocka_unit_test_teardown(test_walk, restore),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
