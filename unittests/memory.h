/* SPDX-License-Identifier: MIT */
/* What tests of everything above the buddy share: cmocka, some RAM, a leak counter, and two looks at memory. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/buddy.h"

/* Pages that are in use: what a test ends with equals what it began with. */
static inline uint64_t memory_used(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.total_pages - s.free_pages[SENSITIVE] - s.free_pages[GLOBAL] - s.free_pages[LOCAL];
}

/* Whether the last panic says, or is reported at, an address in the test @f: that of the wrong call. */
static inline bool panic_names(void (*f)(void **))
{
	const char *said = strstr(fake_panic_text, "called from ");
	uint64_t rip = said ? strtoul(said + strlen("called from "), NULL, 16) : fake_panic_rip;

	return rip - (uint64_t)f < 8 * PAGE_SIZE;
}

/* A group setup: 64 MiB. */
static inline int memory_setup(void **state)
{
	(void)state;
	buddy_add(HPA(MiB(1)), HPA(MiB(65)));
	return 0;
}

static inline enum mem_class class_at(const void *hva)
{
	return pfn_to_pageblock(hva_to_hpa(hva).v / PAGE_SIZE)->class;
}

static inline bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return len == 0;
}
