/* SPDX-License-Identifier: MIT */
/* What the audit demands, one function a rule: NULL if it is kept, else a constant that says what is wrong. */
#pragma once
#include "asi/internal.h"

/* The regions of arch/layout.h that a restricted space may have. */
enum audit_region {
	REGION_NONE,
	REGION_GLOBAL, /* the direct map: GLOBAL blocks */
	REGION_LOCAL,  /* the local window */
	REGION_VMALLOC_GLOBAL,
	REGION_VMALLOC_LOCAL,
	REGION_METADATA,
	REGION_PERCPU,
	REGION_SELF,
	REGION_DEVICE,
	REGION_IMAGE,
};
enum audit_region audit_region(uint64_t va);

/* Of any entry of a host space that is no table: present, or absent and not PTE_ABSENT. */
const char *rule_entry(const struct pt_leaf *leaf);
/* Of a present leaf of the unrestricted space. */
const char *rule_unrestricted(const struct pt_leaf *leaf);
/*
 * Of a present leaf of @asi's space: its region's. *@work grows by the pages looked at.
 */
const char *rule_region(const struct asi *asi, const struct pt_leaf *leaf, uint64_t *work);
/* As rule_region: the unrestricted space has it too, with the same frame and no right less. */
const char *rule_subset(const struct pt_leaf *leaf);
/* Of a page that is a table of a host space. */
const char *rule_table(hpa_t table, unsigned int level, uint64_t va);
/* Of one slot of @asi's root. */
const char *rule_slot(const struct asi *asi, unsigned int slot);
/* Of a space's tables: what was taken out has been flushed. */
const char *rule_flushed(const struct ptable *pt);
