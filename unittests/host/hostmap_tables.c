/* SPDX-License-Identifier: MIT */
/* The vmalloc half of mm/hostmap.c on the host tables of unittests/fake/machine.c. */
#include "mm/hostmap.h"
#include "mm/vmalloc.h"

int hostmap_vmap(void *hva, const hpa_t *frames, size_t nr_pages)
{
	int err = ptable_prepare(hostmap_ptable(), (uint64_t)hva, nr_pages * PAGE_SIZE, 0);

	for (size_t i = 0; !err && i < nr_pages; i++)
		ptable_map(hostmap_ptable(), (uint64_t)hva + i * PAGE_SIZE, frames[i], PAGE_SIZE, 0,
			   PROT_RW);
	return err;
}

void hostmap_vunmap(void *hva, size_t nr_pages)
{
	ptable_unmap(hostmap_ptable(), (uint64_t)hva, nr_pages * PAGE_SIZE);
}

hpa_t hostmap_vlookup(const void *hva)
{
	struct pt_walk w = ptable_walk(hostmap_ptable(), (uint64_t)hva);

	return w.present ? w.hpa : HPA_NONE;
}
