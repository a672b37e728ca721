/* SPDX-License-Identifier: MIT */
/* See unittests/fake/hostmap.h. */
#include "unittests/fake/hostmap.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/page.h"
#include "mm/quarantine.h"

#define PAGES_MAX 16384

static struct {
	uint64_t va;
	hpa_t frame;
} mapped[PAGES_MAX];
static pfn_t stale[PAGES_MAX];

size_t fake_hostmap_pages, fake_hostmap_stale;
unsigned int fake_hostmap_flushes;
bool fake_hostmap_fails;
void (*fake_hostmap_hook)(void);

/* The place of @va in the table, or where it would be appended. */
static size_t find(uint64_t va)
{
	size_t i = 0;

	while (i < fake_hostmap_pages && mapped[i].va != va)
		i++;
	return i;
}

int hostmap_vmap(void *hva, const hpa_t *frames, size_t nr_pages)
{
	if (fake_hostmap_fails) {
		fake_hostmap_fails = false;
		return -ENOMEM;
	}
	for (size_t i = 0; i < nr_pages; i++) {
		uint64_t va = (uint64_t)hva + i * PAGE_SIZE;

		ASSERT(find(va) == fake_hostmap_pages && fake_hostmap_pages < PAGES_MAX);
		mapped[fake_hostmap_pages].va = va;
		mapped[fake_hostmap_pages++].frame = frames[i];
	}
	return 0;
}

void hostmap_vunmap(void *hva, size_t nr_pages)
{
	ASSERT(fake_locks_held() == 0);
	for (size_t i = 0; i < nr_pages; i++) {
		size_t at = find((uint64_t)hva + i * PAGE_SIZE);
		pfn_t pfn;

		ASSERT(at < fake_hostmap_pages);
		pfn = hpa_to_pfn(mapped[at].frame);
		ASSERT(pfn_to_page(pfn)->state == PAGE_USED); /* not freed before it is unmapped */
		stale[fake_hostmap_stale++] = pfn;
		mapped[at] = mapped[--fake_hostmap_pages];
	}
}

void unmap_flush(enum mem_class class, const struct mem_owner *owner, uint64_t nr)
{
	void (*hook)(void) = fake_hostmap_hook;

	ASSERT(fake_locks_held() == 0);
	ASSERT((class == LOCAL) == (owner != NULL));
	for (size_t i = fake_hostmap_stale - nr; i < fake_hostmap_stale; i++) {
		const struct pageblock *block = pfn_to_pageblock(stale[i]);

		ASSERT(block->class == class && block->owner == owner);
	}
	fake_hostmap_hook = NULL;
	if (hook)
		hook();
	for (; nr; nr--) /* nor before the flush */
		ASSERT(pfn_to_page(stale[--fake_hostmap_stale])->state == PAGE_USED);
	fake_hostmap_flushes++;
}

hpa_t hostmap_vlookup(const void *hva)
{
	size_t at = find((uint64_t)hva & ~(PAGE_SIZE - 1));

	return at < fake_hostmap_pages ? mapped[at].frame : HPA_NONE;
}
