/* SPDX-License-Identifier: MIT */
/*
 * The audit of what guests reach by themselves: each VM's RAM against the tags and the allocator's books,
 * and each entry of its EPT against its RAM. docs/asi.md lists the rules.
 *
 * As asi/audit.h: unrestricted, nobody changes tables meanwhile; between steps anybody may.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct ept_audit {
	uint64_t vms, leaves, bytes, tables; /* looked at */
	uint64_t violations;		     /* each logged in a line, up to a few */
};

/* A walk under way. Starts as all zeros. */
struct ept_audit_walk {
	struct ept_audit sum;
	unsigned int vm;	       /* number of its owner; 0: none yet */
	uint64_t block;		       /* of its RAM: looked at first */
	uint64_t gpa;		       /* then its tables */
	uint64_t tables, least_tables; /* of this VM: met, and made before we began */
};

/* Looks at the next part, of bounded work. True when that was the last; then @walk->sum is complete. */
bool ept_audit_step(struct ept_audit_walk *walk);
