/* SPDX-License-Identifier: MIT */
/* What the files of asi/ share and nobody else sees. */
#pragma once
#include "arch/trap.h"
#include "asi/asi.h"

/* What the page at SELF_PAGE says: which space the MMU really has. */
struct self_page {
	uint32_t domain; /* 0: unrestricted */
};

/* Tables that every domain shares: direct map of GLOBAL blocks, image. */
extern struct ptable asi_global;
/* Domains by id, NULL if there is none. */
#define DOMAINS_MAX (ASI_IDLE_ID + 1)
extern struct asi *asi_domains[DOMAINS_MAX];

/* The domain with the lowest id of at least *@id; NULL if there is none. Moves *@id behind it. */
struct asi *domain_next(unsigned int *id);
#define for_each_domain(asi) for (unsigned int id_ = 0; (asi = domain_next(&id_));)

/* Builds asi_global (map.c). 0 or -ENOMEM. */
__must_check int map_init(void);
/* Fills a new domain's root. 0 or -ENOMEM, and then map_destroy cleans up. */
__must_check int map_create(struct asi *asi);
void map_destroy(struct asi *asi);
/* The tables whose root entry every domain's root repeats in @slot; NULL if there are none. */
const struct ptable *map_shares(unsigned int slot);
/* Whether @slot of @asi's root leads to a table of its own; those for LOCAL memory need an owner. */
bool map_owns(const struct asi *asi, unsigned int slot);

/* Forgets @asi in this CPU's PCID slots (switch.c). */
void switch_forget(const struct asi *asi);
void switch_init(bool enabled);
bool switch_enabled(void);
/* For the audit: what is wrong with this CPU's PCID slots or with generations, NULL if nothing. */
const char *switch_wrong(void);
/* A TLB generation that no domain has had; never 0. */
uint64_t switch_next_gen(void);

/* Leaves the restricted space, if in it, and counts why. */
void switch_exit(enum asi_cause cause);
/* A fault that both spaces allow: counted, not a crossing of our making. */
void switch_note_spurious(void);
