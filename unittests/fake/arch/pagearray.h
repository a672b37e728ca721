/* SPDX-License-Identifier: MIT */
/* Page metadata for all of the arena. Included by mm/page.h only. */
#pragma once
#include "arch/ram.h"

/* unittests/fake/ram.c. Too large for an array where a test has more RAM than usual. */
#if FAKE_RAM_SIZE > 64 * PAGE_SIZE_1G
extern struct page *fake_pages;
extern struct pageblock *fake_pageblocks;
#else
extern struct page fake_pages[FAKE_RAM_SIZE / PAGE_SIZE];
extern struct pageblock fake_pageblocks[FAKE_RAM_SIZE / PAGE_SIZE_2M];
#endif

static inline struct page *page_array(void)
{
	return fake_pages;
}

static inline struct pageblock *pageblock_array(void)
{
	return fake_pageblocks;
}
