/* SPDX-License-Identifier: MIT */
/*
 * Bad use of the page allocator: a panic whose backtrace and record begin at the caller, and whose text
 * says what the address is.
 */
#pragma once
#include <stddef.h>
#include "lib/panic.h"
#include "mm/pool.h"

/* Where the function that this stands in was called. */
#define CALLER ((unsigned long)__builtin_return_address(0))

/* Panics at @rip, the caller of the function that this stands in or tail-calls from. */
#define panic_caller(rip, ...) \
	panic_at(rip, *(const unsigned long *)__builtin_frame_address(0), __VA_ARGS__)

/* What is wrong with freeing @hva, in words. */
const char *page_why_not_free(const void *hva, unsigned int order);

/* The page of @hva if that is the head of a run of @order in use, by the alias of its class; or NULL. */
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
