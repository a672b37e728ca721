/* SPDX-License-Identifier: MIT */
/* See unittests/fake/pageblock.h. */
#include <stddef.h>
#include "unittests/fake/pageblock.h"
#include "arch/cpus.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/quarantine.h"

struct exposure {
	enum mem_class class; /* SENSITIVE: not exposed */
	struct mem_owner *owner;
};

uint64_t fake_exposes, fake_hides;
uint64_t fake_tlb_begun, fake_tlb_ended, fake_tlb_flushes;
bool fake_tlb_can_wait = true;
void (*fake_pageblock_hook)(void);
static struct exposure exposed[FAKE_RAM_SIZE / PAGE_SIZE_2M];

static bool agrees(const struct exposure *e, enum mem_class class, struct mem_owner *owner)
{
	return e->class == class && e->owner == owner;
}

bool fake_pageblock_is_right(pfn_t pfn)
{
	const struct pageblock *block = pfn_to_pageblock(pfn);

	return agrees(&exposed[pfn >> PAGEBLOCK_ORDER], block->class, block->owner);
}

static void run_hook(void)
{
	void (*hook)(void) = fake_pageblock_hook;

	fake_pageblock_hook = NULL;
	if (hook)
		hook();
}

/* The demands that expose and hide share; the index of the first block. */
static uint64_t check_call(hpa_t first, uint64_t nr_blocks, enum mem_class class,
			   struct mem_owner *owner)
{
	uint64_t nr_pages = nr_blocks << PAGEBLOCK_ORDER;
	const struct page *head = pfn_to_page(hpa_to_pfn(first));

	ASSERT(fake_locks_held() == 0);
	ASSERT(nr_blocks && IS_ALIGNED(first.v, PAGEBLOCK_SIZE));
	ASSERT(class == GLOBAL || class == LOCAL);
	ASSERT((class == LOCAL) == (owner != NULL));
	/* Reserved: nobody can allocate or merge them meanwhile. */
	ASSERT(head->state == PAGE_USED && 1UL << head->order == nr_pages);
	for (uint64_t i = 0; i < nr_blocks; i++) {
		const struct pageblock *block = pfn_to_pageblock(hpa_to_pfn(first)) + i;

		ASSERT(block->class == class && block->owner == owner);
	}
	return first.v / PAGEBLOCK_SIZE;
}

void pageblock_expose(hpa_t first, uint64_t nr_blocks, enum mem_class class,
		      struct mem_owner *owner)
{
	struct exposure *e = &exposed[check_call(first, nr_blocks, class, owner)];

	ASSERT(fake_ram_is_zero(first, nr_blocks * PAGEBLOCK_SIZE));
	for (uint64_t i = 0; i < nr_blocks; i++) {
		ASSERT(agrees(&e[i], SENSITIVE, NULL));
		e[i] = (struct exposure){ class, owner };
	}
	fake_exposes++;
	run_hook();
}

void pageblock_leave_restricted(void)
{
}

void pageblock_hide(hpa_t first, uint64_t nr_blocks, enum mem_class class, struct mem_owner *owner)
{
	struct exposure *e = &exposed[check_call(first, nr_blocks, class, owner)];

	for (uint64_t i = 0; i < nr_blocks; i++) {
		ASSERT(agrees(&e[i], class, owner));
		e[i] = (struct exposure){ SENSITIVE, NULL };
	}
	fake_hides++;
	run_hook();
}

uint64_t tlb_generation(void)
{
	return fake_tlb_begun;
}

bool tlb_generation_passed(uint64_t gen)
{
	return fake_tlb_ended > gen;
}

void tlb_flush_generation(void)
{
	uint64_t gen = ++fake_tlb_begun;

	ASSERT(fake_locks_held() == 0 && fake_tlb_can_wait);
	fake_tlb_flushes++;
	run_hook();
	fake_tlb_ended = MAX(fake_tlb_ended, gen);
}

/* One CPU: nobody waits for it. */
void cpu_serve(void)
{
}

bool tlb_can_wait(void)
{
	return fake_tlb_can_wait;
}
