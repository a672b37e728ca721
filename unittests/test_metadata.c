/* SPDX-License-Identifier: MIT */
/* mm/metadata.c on real page tables: what of the two arrays is backed, and by what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "mm/page.h"

/* The addresses of the real layout: the arrays are mapped here, not touched. */
#define pfn_to_page(pfn) ((struct page *)PAGE_ARRAY_BASE + (pfn))
#define pfn_to_pageblock(pfn) \
	((struct pageblock *)PAGEBLOCK_ARRAY_BASE + ((pfn) >> PAGEBLOCK_ORDER))
#include "mm/memmap.c"
#include "mm/metadata.c"

static struct ptable host;

static void start(const struct memrange *ram, unsigned int nr)
{
	memset(&all_ram, 0, sizeof(all_ram));
	memset(&free_ram, 0, sizeof(free_ram));
	taking = false;
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(memmap_add(ram[i].start, ram[i].end - ram[i].start), 0);
	assert_int_equal(ptable_init(&host, &pt_host_format, SENSITIVE, NULL), 0);
}

/* The page of metadata at @va: of RAM its own, cleared and writable; of a hole the common one of zeros. */
static void check_page(uint64_t va, bool ram)
{
	struct pt_walk w = ptable_walk(&host, va);

	assert_true(w.present);
	assert_int_equal(!!(w.rights & PTE_W), ram);
	assert_true(w.rights & PTE_NX);
	assert_int_equal(w.hpa.v == zero_page.v, !ram);
	assert_true(fake_ram_is_zero(w.hpa, PAGE_SIZE));
}

/* All of both arrays wherever 1 GiB holds RAM, nothing elsewhere. */
static void test_backing(void **state)
{
	static const struct memrange ram[] = { { MiB(1), MiB(600) },
					       { GiB(2) + MiB(5), GiB(2) + MiB(200) } };

	(void)state;
	start(ram, ARRAY_SIZE(ram));
	assert_int_equal(metadata_init(&host), 0);
	for (uint64_t at = 0; at < GiB(4); at += RAM_PER_PAGE) {
		uint64_t va = (uint64_t)pfn_to_page(at >> PAGE_SHIFT);

		if (at / GiB(1) == 0 || at / GiB(1) == 2)
			check_page(va, holds_ram(at, RAM_PER_PAGE));
		else
			assert_false(ptable_walk(&host, va).present);
	}
	for (uint64_t at = 0; at < GiB(4); at += PAGEBLOCK_SIZE) {
		bool there = at / GiB(1) == 0 || at / GiB(1) == 2;

		assert_int_equal(
			ptable_walk(&host, (uint64_t)pfn_to_pageblock(at >> PAGE_SHIFT)).present,
			there);
	}
}

/* Whatever memory there is too little of, the answer is -ENOMEM. */
static void test_no_memory(void **state)
{
	int err = -ENOMEM;

	(void)state;
	for (uint64_t pages = 1; err; pages++) {
		const struct memrange ram = { MiB(1), MiB(1) + pages * PAGE_SIZE };

		start(&ram, 1);
		err = metadata_init(&host);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(pages < 64);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backing),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
