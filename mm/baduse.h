/* SPDX-License-Identifier: MIT */
/*
 * Bad use of the page allocator: a panic whose backtrace and record begin at the caller, and whose text
 * says what the address is. For page_free and its kin only: where this is expanded is who was called.
 */
#pragma once
#include <stddef.h>
#include "lib/panic.h"
#include "mm/pool.h"

/* Panics at the caller of the function that this stands in. */
#define panic_caller(...)                                    \
	panic_at((unsigned long)__builtin_return_address(0), \
		 *(const unsigned long *)__builtin_frame_address(0), __VA_ARGS__)

/* What is wrong with freeing @hva, in words. */
const char *page_why_not_free(const void *hva, unsigned int order);

/* The page of @hva, which is the head of a run of @order in use, given by the alias of its class. */
#define page_to_free(hva, order)                                                             \
	({                                                                                   \
		struct page *page_ = page_if_used(hva, order);                               \
		if (unlikely(!page_))                                                        \
			panic_caller("%s(%p, order %u): %s", __func__, (void *)(hva), order, \
				     page_why_not_free(hva, order));                         \
		page_;                                                                       \
	})

/* As page_to_free, but NULL if it is not so. */
static __always_inline struct page *page_if_used(const void *hva, unsigned int order)
{
	struct page *page;
	hpa_t hpa;

	if (unlikely(!hva_is_ram(hva)))
		return NULL;
	hpa = hva_to_hpa(hva);
	if (unlikely(!buddy_manages(hpa)))
		return NULL;
	page = pfn_to_page(hpa_to_pfn(hpa));
	if (unlikely(page->state != PAGE_USED || page->order != order || hva != page_hva(page)))
		return NULL;
	return page;
}
