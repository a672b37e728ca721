/* SPDX-License-Identifier: MIT */
/* What the files of asi/ share and nobody else sees. */
#pragma once
#include "arch/spinlock.h"
#include "arch/trap.h"
#include "asi/asi.h"

/* What the page at SELF_PAGE says: which space the MMU really has. */
struct self_page {
	uint32_t domain; /* 0: unrestricted */
};

/* Tables that every domain shares: direct map of GLOBAL blocks, image. */
extern struct ptable asi_global;
/*
 * Domains by id, NULL if there is none. Guarded by asi_lock, as are the generations of all domains and their records:
 * who looks at another's domain holds it, or nobody makes or ends domains meanwhile.
 */
#define DOMAINS_MAX (ASI_IDLE_ID + 1)
extern struct asi *asi_domains[DOMAINS_MAX];
extern struct spinlock asi_lock;

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

/* A new domain, complete, takes its place in the table, with a generation that none has had (shootdown.c). */
void domain_publish(struct asi *asi);
/* It leaves the table; returns when no other CPU has it in CR3 or looks at it. No lock held. */
void domain_retire(struct asi *asi);
/* Takes [@va, @va + @len) out of every domain that maps @owner's memory, and flushes it. No lock held. */
void shootdown_unmap(const struct mem_owner *owner, uint64_t va, uint64_t len);
/* For the audit: what is wrong with PCID slots or with generations, NULL if nothing. */
const char *shootdown_wrong(void);

/* PCID 0 is the unrestricted space; slot n has PCID n + 1. */
#define PCID_SLOTS 6
struct slot {
	const struct asi
		*asi; /* NULL: free. Perhaps one that has ended on another CPU: only compared */
	uint64_t gen; /* of asi->tlb_gen, when last flushed */
};

/* What a CPU says of its TLB, for others to read: the words that shootdown.c waits for. */
extern __percpu struct slot asi_slots[PCID_SLOTS];
extern __percpu uint64_t asi_host_on, asi_host_seen, asi_all_seen;
/* The last generations given out, of the unrestricted space, and of flushes of everything. */
extern uint64_t asi_host_gen, asi_flush_begun;

/* Forgets @asi in this CPU's PCID slots (switch.c). */
void switch_forget(const struct asi *asi);
void switch_init(bool enabled);
bool switch_enabled(void);

/* Leaves the restricted space, if in it, and counts why. */
void switch_exit(enum asi_cause cause);
/* A fault that both spaces allow: counted, not a crossing of our making. */
void switch_note_spurious(void);
