/* SPDX-License-Identifier: MIT */
/* What tests of mm/ptable.c share: the two formats, and what a leaf of each must say. */
#pragma once
#include "unittests/memory.h"
#include "mm/ptable.h"

struct table_kind {
	const struct pt_format *format;
	enum mem_class class; /* of the tables */
	uint64_t base;	      /* 2 TiB from here on are free for the test */
};

static const struct table_kind table_kinds[] = {
	{ &pt_host_format, SENSITIVE, DIRECTMAP_BASE },
	{ &pt_ept_format, LOCAL, 4 * PML4_SLOT_SIZE },
};

static struct mem_owner table_owner;

static inline int table_kinds_setup(void **state)
{
	mem_owner_init(&table_owner, 1);
	ptable_use_buddy();
	return memory_setup(state);
}

static inline int table_kinds_teardown(void **state)
{
	(void)state;
	mem_owner_destroy(&table_owner);
	return memory_used() ? -1 : 0;
}

static inline struct mem_owner *kind_owner(const struct table_kind *kind)
{
	return kind->class == LOCAL ? &table_owner : NULL;
}

static inline uint64_t *kind_table(const struct table_kind *kind, hpa_t table)
{
	return kind->class == LOCAL ? hpa_to_local(table) : hpa_to_direct(table);
}

/*
 * Whether the flags of a leaf are those of @prot, by the SDM's tables and not by struct pt_format: no
 * user or global page in the host, accessed and dirty beforehand; write-back memory in EPT.
 */
static inline bool leaf_is_right(const struct pt_format *format, uint64_t entry, uint64_t rights,
				 unsigned int level, unsigned int prot)
{
	uint64_t flags = entry & ~BITS(47, 12), want = level ? 0x80 : 0;

	if (format == &pt_ept_format)
		return flags == (want | 6 << 3 | (prot & PROT_RWX));
	want |= 0x21 | (prot & PROT_W ? 0x42 : 0) | (prot & PROT_X ? 0 : BIT(63));
	return flags == want && !(rights & BIT(1)) == !(prot & PROT_W) &&
	       !(rights & BIT(63)) == !!(prot & PROT_X);
}
