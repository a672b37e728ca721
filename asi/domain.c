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

const struct asi_class asi_classes[ASI_CLASS_NR] = {
	[ASI_GUEST_VM] = { .name = "vm", .runs_guest = true, .has_owner = true },
	[ASI_GUEST_VCPU] = { .name = "vcpu",
			     .runs_guest = true,
			     .has_owner = true,
			     .has_parent = true },
	[ASI_IDLE] = { .name = "idle" },
};

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

/* The id of a new domain; a wrong class or owner, or a second domain of the owner, is our bug. */
static uint32_t new_id(enum asi_class_id class, const struct mem_owner *owner)
{
	uint32_t id = owner ? owner->id : ASI_IDLE_ID;

	ASSERT(class < ASI_CLASS_NR && asi_classes[class].has_owner == (owner != NULL));
	ASSERT(!owner || asi_classes[class].has_parent == (owner->parent != NULL));
	ASSERT(id >= 1 && id < DOMAINS_MAX && !asi_domains[id]);
	return id;
}

int asi_create(enum asi_class_id class, struct mem_owner *owner, struct asi **out)
{
	struct asi *asi;
	uint32_t id;
	int err;

	*out = NULL;
	if (!switch_enabled())
		return 0;
	id = new_id(class, owner);
	asi = slab_zalloc(&asi_cache);
	if (!asi)
		return -ENOMEM;
	asi->class = &asi_classes[class];
	asi->id = id;
	asi->refs = 1;
	asi->owner = owner;
	err = map_create(asi);
	if (err) {
		map_destroy(asi);
		slab_free(&asi_cache, asi);
		return err;
	}
	domain_publish(asi);
	*out = asi;
	return 0;
}

struct asi *asi_get(struct asi *asi)
{
	if (asi) {
		ASSERT(asi->refs);
		__atomic_fetch_add(&asi->refs, 1, __ATOMIC_RELAXED);
	}
	return asi;
}

static void destroy(struct asi *asi)
{
	if (asi_current() == asi)
		asi_exit();
	ASSERT(this_cpu(asi_target) != asi && (!asi->owner || asi->owner->pool.nr_pages == 0));
	switch_forget(asi);
	domain_retire(asi);
	map_destroy(asi);
	slab_free(&asi_cache, asi);
}

void asi_put(struct asi *asi)
{
	if (!asi)
		return;
	ASSERT(asi->refs);
	if (__atomic_sub_fetch(&asi->refs, 1, __ATOMIC_ACQ_REL) == 0)
		destroy(asi);
}
