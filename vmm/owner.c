/* SPDX-License-Identifier: MIT */
/* Numbers of owners, their structs and their domains. */
#include "vmm/owner.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/kmalloc.h"
#include "mm/vmalloc.h"

/* Numbers in use, a bit each; those of VMs are their VPIDs too. 0 is nobody, and the host's VPID. */
static uint64_t ids_used[DIV_ROUND_UP(OWNER_MAX + 1, 64)] = { 1 };

static uint16_t id_get(void)
{
	for (uint16_t id = 1; id <= OWNER_MAX; id++) {
		if (ids_used[id / 64] & BIT(id % 64))
			continue;
		ids_used[id / 64] |= BIT(id % 64);
		return id;
	}
	return 0;
}

static void id_put(uint16_t id)
{
	ids_used[id / 64] &= ~BIT(id % 64);
}

int owner_create(struct mem_owner *parent, struct mem_owner **out)
{
	struct mem_owner *owner;
	uint16_t id = id_get();

	if (!id)
		return -ENOSPC;
	owner = kzalloc(sizeof(*owner), GLOBAL, NULL);
	if (!owner) {
		id_put(id);
		return -ENOMEM;
	}
	mem_owner_init(owner, id);
	owner->parent = parent;
	*out = owner;
	return 0;
}

int owner_domain(struct mem_owner *owner, enum asi_class_id class, const struct vm_options *options,
		 struct asi **out)
{
	int err = 0;

	*out = NULL;
	if (options->asi != VM_ASI_OFF)
		err = asi_create(class, owner, out);
	if (*out)
		(*out)->strict = options->asi == VM_ASI_STRICT;
	return err;
}

void owner_destroy(struct mem_owner *owner, struct asi *asi)
{
	kmalloc_destroy(owner);
	vmalloc_owner_end(owner); /* its areas: freed, yet kept aside until now */
	mem_owner_destroy(owner); /* hides the last blocks: while there is still a domain */
	asi_put(asi);
	id_put(owner->id);
	kfree(owner);
}
