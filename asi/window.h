/* SPDX-License-Identifier: MIT */
/*
 * Access windows: how the hypervisor reaches memory that no restricted space maps, one page at a time and
 * without a crossing. An owner's window is a page for each CPU at WINDOW_BASE, in its restricted spaces
 * and in the unrestricted one, which share its one table. That table is LOCAL memory of the owner, so that
 * opening is one store; it holds frames of the owner's own memory and nothing else.
 *
 * Closing flushes on this CPU alone. Another CPU in the same space may have cached the page meanwhile, by
 * speculation only, since it uses a page of its own: who takes the memory away flushes the owner's domains.
 */
#pragma once
#include "arch/tlb.h"
#include "asi/asi.h"

struct window {
	struct mem_owner *owner;
	uint64_t *table; /* NULL: there is none */
	uint64_t flags;	 /* of its leaves */
};

/* Makes @owner's window, all closed. 0 or -ENOMEM. Unrestricted only. */
__must_check int window_create(struct window *w, struct mem_owner *owner);
/* All zero, or made: gives back its table when no CPU can walk through it. Unrestricted, no lock held. */
void window_destroy(struct window *w);

/* One page as it is reached, until window_close(). */
struct window_page {
	void *hva;
	struct asi *space; /* this CPU's when it was opened */
};

/*
 * Shows the page at @hpa, memory that @w's owner may learn, readable and writable. Handlers and
 * creation, interrupts off or in base context; not nested, never across a VM entry, never in an NMI.
 */
static inline struct window_page window_open(const struct window *w, hpa_t hpa)
{
	uint32_t cpu = this_cpu(cpu_number);
	struct window_page page = { (void *)(WINDOW_BASE(w->owner->id) + cpu * PAGE_SIZE),
				    asi_current() };

	ASSERT(w->table[cpu] == PTE_ABSENT);
	barrier(); /* an NMI that leaves from here on is seen by window_close() */
	WRITE_ONCE(w->table[cpu], hpa.v | w->flags);
	return page;
}

static inline void window_close(const struct window *w, struct window_page page)
{
	WRITE_ONCE(w->table[this_cpu(cpu_number)], PTE_ABSENT);
	/* SDM, "Operations that Invalidate TLBs": what this PCID has of it, and no other. */
	tlb_flush_page((uint64_t)page.hva);
	/* A crossing in between, in the caller's copy or in an NMI: the PCID that was left has it too. */
	if (unlikely(asi_current() != page.space))
		asi_drop_page(page.space, (uint64_t)page.hva);
}
