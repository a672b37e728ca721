/* SPDX-License-Identifier: MIT */
/*
 * What asi/map.c would do for mm, as unittests/fake/pageblock.c, but for several threads: a block is
 * exposed once, clean, and hidden as what it was exposed as.
 */
#include <stddef.h>
#include "arch/cpus.h"
#include "lib/assert.h"
#include "mm/page.h"
#include "mm/quarantine.h"

/* By block: 0 if not exposed. */
static uint32_t exposed[FAKE_RAM_SIZE / PAGE_SIZE_2M];

static uint32_t mark_of(enum mem_class class, const struct mem_owner *owner)
{
	ASSERT(class == GLOBAL || class == LOCAL);
	ASSERT((class == LOCAL) == (owner != NULL));
	return 1 + (owner ? owner->id : 0U);
}

static void change(hpa_t first, uint64_t nr_blocks, uint32_t from, uint32_t to)
{
	ASSERT(nr_blocks && first.v % PAGE_SIZE_2M == 0);
	for (uint64_t i = 0; i < nr_blocks; i++) {
		uint32_t *mark = &exposed[first.v / PAGE_SIZE_2M + i];

		ASSERT(__atomic_exchange_n(mark, to, __ATOMIC_ACQ_REL) == from);
	}
}

void pageblock_expose(hpa_t first, uint64_t nr_blocks, enum mem_class class,
		      struct mem_owner *owner)
{
	const uint64_t *words = hpa_to_direct(first);

	/* A word of each page: reading all would be most of the run. */
	for (uint64_t i = 0; i < nr_blocks * 512; i++)
		ASSERT(!words[i * 512 + i % 512]);
	change(first, nr_blocks, 0, mark_of(class, owner));
}

void pageblock_leave_restricted(void)
{
}

void pageblock_hide(hpa_t first, uint64_t nr_blocks, enum mem_class class, struct mem_owner *owner)
{
	change(first, nr_blocks, mark_of(class, owner), 0);
}

/* Flushes: no thread has a TLB, so a generation has passed as soon as it is over. */
static uint64_t generation;

uint64_t tlb_generation(void)
{
	return __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
}

bool tlb_generation_passed(uint64_t gen)
{
	return __atomic_load_n(&generation, __ATOMIC_SEQ_CST) > gen;
}

void tlb_flush_generation(void)
{
	__atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
}

void cpu_serve(void)
{
}

bool tlb_can_wait(void)
{
	return true;
}
