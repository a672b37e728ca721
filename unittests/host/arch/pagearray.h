/* SPDX-License-Identifier: MIT */
/* Page metadata at a fixed address, backed by unittests/host/ram.c. Included by mm/page.h only. */
#pragma once
#include "arch/ram.h"

static inline struct page *page_array(void)
{
	return (struct page *)HOST_PAGES;
}

static inline struct pageblock *pageblock_array(void)
{
	return (struct pageblock *)HOST_PAGEBLOCKS;
}
