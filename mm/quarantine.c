/* SPDX-License-Identifier: MIT */
/*
 * The quarantine: a list through the page metadata, oldest first, under the buddy's lock. Generations
 * never fall along it, so a drain stops at the first run that has to wait on.
 */
#include "mm/quarantine.h"
#include "lib/assert.h"
#include "mm/pool.h"
#include "mm/baduse.h"

/* With the lock held. */
static void quarantine_add(struct page *run)
{
	run->next = 0;
	run->gen = tlb_generation();
	if (buddy.last_deferred)
		link_to_page(buddy.last_deferred)->next = page_to_link(run);
	else
		__atomic_store_n(&buddy.first_deferred, page_to_link(run), __ATOMIC_RELAXED);
	buddy.last_deferred = page_to_link(run);
	page_pool(run)->nr_deferred += 1UL << run->order;
	buddy.stats.deferred_pages += 1UL << run->order;
}

/* With the lock held: the oldest run if its time has come. */
static struct page *quarantine_take(void)
{
	struct page *run;

	if (!buddy.first_deferred)
		return NULL;
	run = link_to_page(buddy.first_deferred);
	ASSERT(run->state == PAGE_DEFERRED);
	if (!tlb_generation_passed(run->gen))
		return NULL;
	__atomic_store_n(&buddy.first_deferred, run->next, __ATOMIC_RELAXED);
	if (!run->next)
		buddy.last_deferred = 0;
	run->gen = 0;
	page_pool(run)->nr_deferred -= 1UL << run->order;
	buddy.stats.deferred_pages -= 1UL << run->order;
	return run;
}

void page_free_deferred(void *hva, unsigned int order)
{
	struct page *run = page_if_used(hva, order);
	uint64_t flags;
	bool too_many;

	if (!run)
		panic_caller(CALLER, "page_free_deferred(%p, order %u): %s", hva, order,
			     page_why_not_free(hva, order));
	flags = spin_lock(&buddy.lock);
	/* Seen again under the lock: another CPU may have freed it, wrongly, meanwhile. */
	ASSERT(run->state == PAGE_USED);
	page_set_state(run, PAGE_DEFERRED);
	quarantine_add(run);
	too_many = buddy.stats.deferred_pages > QUARANTINE_MAX;
	spin_unlock(&buddy.lock, flags);

	if (too_many && !quarantine_drain() && tlb_can_wait())
		quarantine_flush();
}

/* Leaves idle blocks to the pools: once the lock is released, the owner may end. */
bool quarantine_drain(void)
{
	bool any = false;

	for (;;) {
		uint64_t flags = spin_lock(&buddy.lock);
		struct page *run = quarantine_take();

		if (run)
			pool_give(page_pool(run), run, run->order);
		spin_unlock(&buddy.lock, flags);
		if (!run)
			return any;
		any = true;
	}
}

bool quarantine_flush(void)
{
	if (!__atomic_load_n(&buddy.first_deferred, __ATOMIC_RELAXED))
		return false;
	tlb_flush_generation();
	return quarantine_drain();
}
