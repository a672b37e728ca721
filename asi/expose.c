/* SPDX-License-Identifier: MIT */
/*
 * See asi/expose.h. The image's tables of restricted spaces are shared by all of them, so that one entry is all. Nothing is
 * flushed: no CPU keeps translations of what was absent.
 */
#include "asi/expose.h"
#include "asi/internal.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/hostmap.h"

static struct exposed exposed[EXPOSED_MAX];
static unsigned int nr_exposed;

static bool is_sensitive_data(uint64_t va, uint64_t len)
{
	const struct image_window *w;

	for (unsigned int i = 0; (w = hostmap_window(i)); i++)
		if (w->exposable && va >= (uint64_t)w->start && va + len <= (uint64_t)w->end)
			return true;
	return false;
}

/* Pages that an earlier one has exposed are left as they are. */
static int map_pages(uint64_t start, uint64_t end)
{
	int err = ptable_prepare(&asi_global, start, end - start, 0);

	for (uint64_t at = start; !err && at < end; at += PAGE_SIZE)
		if (!ptable_walk(&asi_global, at).present)
			ptable_map(&asi_global, at, HPA(at - IMAGE_BASE), PAGE_SIZE, 0, PROT_RW);
	return err;
}

int asi_expose(const char *name, uint64_t va, uint64_t len)
{
	uint64_t start = ALIGN_DOWN(va, PAGE_SIZE), end = ALIGN_UP(va + len, PAGE_SIZE);
	int err;

	if (!switch_enabled() || !len || !is_sensitive_data(va, len))
		return -EINVAL;
	if (asi_is_exposed(start, end - start))
		return -EEXIST;
	if (nr_exposed == EXPOSED_MAX)
		return -ENOSPC;
	err = map_pages(start, end);
	if (!err)
		exposed[nr_exposed++] = (struct exposed){ name, start, end - start };
	return err;
}

const struct exposed *asi_exposed(unsigned int i)
{
	return i < nr_exposed ? &exposed[i] : NULL;
}

/* Page by page: two experiments may have a page each. */
bool asi_is_exposed(uint64_t va, uint64_t len)
{
	for (uint64_t at = ALIGN_DOWN(va, PAGE_SIZE); at < va + len; at += PAGE_SIZE) {
		unsigned int i = 0;

		while (i < nr_exposed && at - exposed[i].start >= exposed[i].len)
			i++;
		if (i == nr_exposed)
			return false;
	}
	return true;
}

const char *asi_experiment(void)
{
	return nr_exposed ? ",\"experiment\":true" : "";
}
