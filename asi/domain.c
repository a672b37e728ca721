/* SPDX-License-Identifier: MIT */
/* Making and ending domains. Unrestricted, boot or VM creation; never on the exit path. */
#include "asi/internal.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/slab.h"

/* GLOBAL: asi_enter reads the next domain while in another one; addresses of tables, no secrets. */
static __nonsensitive struct slab_cache asi_cache;

/* The unrestricted side of the self page says 0 = no domain. */
static int map_host_self(void)
{
	struct ptable *host = hostmap_ptable();
	struct self_page *self = page_zalloc(0, SENSITIVE, NULL);
	int err = self ? ptable_prepare(host, SELF_PAGE, PAGE_SIZE, 0) : -ENOMEM;

	if (!err)
		ptable_map(host, SELF_PAGE, hva_to_hpa(self), PAGE_SIZE, 0, PROT_R);
	return err;
}

void asi_init(bool enabled)
{
	int err = map_host_self();

	switch_init(enabled);
	if (!err && enabled)
		err = map_init();
	if (err)
		panic("not enough memory for the restricted page tables");
	slab_cache_init(&asi_cache, "asi", sizeof(struct asi), 64, GLOBAL, NULL);
}

int asi_create(struct mem_owner *owner, struct asi **out)
{
	struct asi *asi;
	int err;

	*out = NULL;
	if (!switch_enabled())
		return 0;
	ASSERT(owner->id >= 1 && owner->id <= OWNER_MAX && !asi_by_owner[owner->id]);
	asi = slab_zalloc(&asi_cache);
	if (!asi)
		return -ENOMEM;
	asi->owner = owner;
	asi->tlb_gen = switch_next_gen();
	err = map_create(asi);
	if (err) {
		map_destroy(asi);
		slab_free(&asi_cache, asi);
		return err;
	}
	asi_by_owner[owner->id] = asi;
	*out = asi;
	return 0;
}

void asi_destroy(struct asi *asi)
{
	if (!asi)
		return;
	if (asi_current() == asi)
		asi_exit();
	ASSERT(this_cpu(asi_target) != asi && asi->owner->pool.nr_pages == 0);
	switch_forget(asi);
	asi_by_owner[asi->owner->id] = NULL;
	map_destroy(asi);
	slab_free(&asi_cache, asi);
}
