/* SPDX-License-Identifier: MIT */
/*
 * Canary secrets: random patterns planted in each kind of memory, then searched for at every byte of
 * every restricted space, through the MMU. A domain finds what its own owner may know, else the search
 * itself is broken, and nothing more, else something leaks. For tests ("secrets=on"): a search takes
 * long, with interrupts off.
 *
 * A secret is 16 bytes: 8 that all of this boot share, so that one comparison at each offset is enough, and
 * 8 of its own. Neither half stands anywhere in the clear but where it was planted.
 *
 * Unrestricted, base context, on a stack that every space maps; one CPU.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "mm/class.h"

#define SECRET_SIZE 16

struct asi;

/* Starts without a secret; patterns come from @seed, which is logged. 0 or -ENOMEM. */
__must_check int secrets_begin(uint64_t seed);

/*
 * Plants a secret in the SECRET_SIZE bytes at @at, unaligned perhaps, that nobody else uses. @owner: whose
 * domains may find it; NULL: no domain. @what, a constant, names the place in reports.
 */
void secrets_plant(void *at, const char *what, const struct mem_owner *owner);
/*
 * Plants in every kind of memory that can be allocated with this class and owner, in use and freed;
 * GLOBAL: any domain finds those. 0 or -ENOMEM.
 */
__must_check int secrets_plant_class(enum mem_class class, struct mem_owner *owner);
/* The kinds that the hypervisor alone has: static and per-CPU data, slabs, page tables. 0 or -ENOMEM. */
__must_check int secrets_plant_machine(void);

/*
 * Searches every domain and writes a @secrets record for each; @when is their field. Returns how many
 * secrets were found that should not, or were not found that should.
 */
uint64_t secrets_search(const char *when);
/* The same of one domain. */
uint64_t secrets_search_domain(struct asi *asi, const char *when);

/* Wipes what still stands and frees what was allocated for it: before the owners end. */
void secrets_end(void);
