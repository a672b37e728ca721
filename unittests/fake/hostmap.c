/* SPDX-License-Identifier: MIT */
/* See unittests/fake/hostmap.h. */
#include "unittests/fake/hostmap.h"
#include "arch/spinlock.h"
#include "lib/assert.h"
#include "lib/errno.h"

#define PAGES_MAX 4096

static struct {
	uint64_t va;
	hpa_t frame;
} mapped[PAGES_MAX];

size_t fake_hostmap_pages;
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
	void (*hook)(void) = fake_hostmap_hook;

	ASSERT(fake_locks_held() == 0);
	for (size_t i = 0; i < nr_pages; i++) {
		size_t at = find((uint64_t)hva + i * PAGE_SIZE);

		ASSERT(at < fake_hostmap_pages);
		mapped[at] = mapped[--fake_hostmap_pages];
	}
	fake_hostmap_hook = NULL;
	if (hook)
		hook();
}

hpa_t hostmap_vlookup(const void *hva)
{
	size_t at = find((uint64_t)hva & ~(PAGE_SIZE - 1));

	return at < fake_hostmap_pages ? mapped[at].frame : HPA_NONE;
}
