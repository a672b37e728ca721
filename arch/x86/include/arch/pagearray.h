/* SPDX-License-Identifier: MIT */
/* Where the page metadata stands. Unit tests shadow this header. Included by mm/page.h only. */
#pragma once
#include "arch/layout.h"

static inline struct page *page_array(void)
{
	return (struct page *)PAGE_ARRAY_BASE;
}

static inline struct pageblock *pageblock_array(void)
{
	return (struct pageblock *)PAGEBLOCK_ARRAY_BASE;
}
