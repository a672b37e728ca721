/* SPDX-License-Identifier: MIT */
/*
 * Making and ending access windows. The page directory of an owner's local vmalloc range is shared by the
 * unrestricted space and its domains (map_create), so linking the table once shows it in all of them: they
 * cannot differ.
 */
#include "asi/window.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/quarantine.h"

int window_create(struct window *w, struct mem_owner *owner)
{
	uint64_t va = WINDOW_BASE(owner->id), *table;

	/* There already with ASI; an owner without a domain has its window all the same. */
	if (ptable_prepare(hostmap_ptable(), va, WINDOW_SIZE, 1))
		return -ENOMEM;
	table = page_alloc(0, LOCAL, owner);
	if (!table)
		return -ENOMEM;
	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*table); i++)
		table[i] = PTE_ABSENT;
	ptable_link(hostmap_ptable(), va, hva_to_hpa(table));
	*w = (struct window){ owner, table, ptable_leaf_flags(&pt_host_format, 0, PROT_RW) };
	return 0;
}

void window_destroy(struct window *w)
{
	if (!w->table)
		return;
	ptable_unshare(hostmap_ptable(), WINDOW_BASE(w->owner->id), 1);
	unmap_flush(LOCAL, w->owner, 1); /* no CPU walks through the table that we free */
	page_free(w->table, 0);
	w->table = NULL;
}
