/* SPDX-License-Identifier: MIT */
/* For tests that look at one set of tables at a time. */
#pragma once
#include "unittests/ptable_formats.h"

#define P  PAGE_SIZE
#define M2 PAGE_SIZE_2M
#define G1 PAGE_SIZE_1G

static struct ptable pt;
static uint64_t used_before;

static inline void start(const struct table_kind *kind)
{
	used_before = memory_used();
	assert_int_equal(ptable_init(&pt, kind->format, kind->class, kind_owner(kind)), 0);
	assert_int_equal(pt.nr_tables, 1);
}

/* What the tables took is back. LOCAL pools may keep a block, so pages are counted, not blocks. */
static inline void finish(void)
{
	ptable_destroy(&pt);
	assert_int_equal(pt.nr_tables, 0);
	assert_int_equal(memory_used(), used_before);
}

static inline void map(uint64_t va, uint64_t hpa, uint64_t len, unsigned int level,
		       unsigned int prot)
{
	assert_int_equal(ptable_prepare(&pt, va, len, level), 0);
	ptable_map(&pt, va, HPA(hpa), len, level, prot);
}
