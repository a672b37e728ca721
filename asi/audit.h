/* SPDX-License-Identifier: MIT */
/*
 * The audit: every entry of every restricted space, and of the unrestricted one, against the class tags,
 * the books of the allocators and the account of flushes. It trusts neither the switch code nor what
 * asi/map.c believes to have mapped, only the tables as they stand. docs/asi.md lists its rules.
 *
 * Unrestricted, base context. No domain is made or ended and nothing unmapped meanwhile, so with several
 * CPUs whoever steps holds the others off.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct asi_audit {
	uint64_t domains, leaves, bytes; /* of restricted spaces */
	uint64_t tables;     /* of all host spaces, one that several share as often as it is met */
	uint64_t violations; /* each logged in a line, up to a few */
};

/* A walk under way. Starts as all zeros; between steps the caller may do what it likes. */
struct asi_audit_walk {
	struct asi_audit sum;
	unsigned int space; /* whose turn it is: 0 the unrestricted one, else the domain's number */
	uint64_t va;	    /* and where in it */
};

/*
 * Looks at the next part, of bounded work: a few thousand entries and pages, whatever the machine's
 * size. True when that was the last; then @walk->sum is complete.
 */
bool asi_audit_step(struct asi_audit_walk *walk);

/* All of it at once. */
void asi_audit(struct asi_audit *out);
