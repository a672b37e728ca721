/* SPDX-License-Identifier: MIT */
/*
 * Page metadata is backed wherever the buddy may look: a run's buddy lies in the same 1 GiB
 * (PAGE_ORDER_MAX), so every 1 GiB that holds RAM has both arrays in full. What stands for holes is
 * one shared page of zeros, read-only: zero is never PAGE_FREE, so a hole never merges.
 */
#include "mm/metadata.h"
#include "arch/insn.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/memmap.h"
#include "mm/page.h"

#define RAM_PER_PAGE \
	(PAGE_SIZE / sizeof(struct page) * PAGE_SIZE) /* covered by a page of struct page */

static hpa_t zero_page;

static hpa_t take_cleared(void)
{
	hpa_t hpa = memmap_take(PAGE_SIZE, PAGE_SIZE, PHYS_LIMIT);

	if (hpa.v != HPA_NONE.v)
		clear_words(hpa_to_direct(hpa), PAGE_SIZE);
	return hpa;
}

static bool holds_ram(uint64_t start, uint64_t len)
{
	const struct memrange *r;

	for (unsigned int i = 0; (r = memmap_ram(i)); i++)
		if (ranges_overlap(start, len, r->start, r->end - r->start))
			return true;
	return false;
}

static int back_page(struct ptable *host, uint64_t va, bool ram)
{
	hpa_t hpa = ram ? take_cleared() : zero_page;

	if (hpa.v == HPA_NONE.v)
		return -ENOMEM;
	ptable_map(host, va, hpa, PAGE_SIZE, 0, ram ? PROT_RW : PROT_R);
	return 0;
}

/* Both arrays for the 1 GiB at @start. */
static int back_gib(struct ptable *host, uint64_t start)
{
	uint64_t pages = (uint64_t)pfn_to_page(start >> PAGE_SHIFT);
	uint64_t pages_len = PAGE_SIZE_1G / PAGE_SIZE * sizeof(struct page);
	uint64_t blocks = (uint64_t)pfn_to_pageblock(start >> PAGE_SHIFT);
	uint64_t blocks_len = PAGE_SIZE_1G / PAGEBLOCK_SIZE * sizeof(struct pageblock);
	int err = ptable_prepare(host, pages, pages_len, 0);

	if (!err)
		err = ptable_prepare(host, blocks, blocks_len, 0);
	for (uint64_t done = 0; !err && done < pages_len; done += PAGE_SIZE)
		err = back_page(host, pages + done,
				holds_ram(start + done / PAGE_SIZE * RAM_PER_PAGE, RAM_PER_PAGE));
	for (uint64_t done = 0; !err && done < blocks_len; done += PAGE_SIZE)
		err = back_page(host, blocks + done, true);
	return err;
}

int metadata_init(struct ptable *host)
{
	int err = 0;

	zero_page = take_cleared();
	if (zero_page.v == HPA_NONE.v)
		return -ENOMEM;
	for (uint64_t at = 0; !err && at < memmap_ram_end(); at += PAGE_SIZE_1G)
		if (holds_ram(at, PAGE_SIZE_1G))
			err = back_gib(host, at);
	return err;
}
