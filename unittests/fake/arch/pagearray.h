/* SPDX-License-Identifier: MIT */
/* Page metadata for all of the arena. Included by mm/page.h only. */
#pragma once
#include "arch/ram.h"

/* unittests/fake/ram.c */
extern struct page fake_pages[FAKE_RAM_SIZE / PAGE_SIZE];
extern struct pageblock fake_pageblocks[FAKE_RAM_SIZE / PAGE_SIZE_2M];

static inline struct page *page_array(void)
{
	return fake_pages;
}

static inline struct pageblock *pageblock_array(void)
{
	return fake_pageblocks;
}
