/* SPDX-License-Identifier: MIT */
/* The search for secrets: what runs inside restricted spaces, on GLOBAL memory. */
#pragma once
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include "arch/stack.h"

#define SECRETS_MAX   1024
#define SEARCH_RANGES 64

/* One of any alignment. */
typedef uint64_t __attribute__((aligned(1), may_alias)) any_u64;

/*
 * In GLOBAL memory. Whatever is compared is encoded (xor @key), so that the search finds neither itself
 * nor what it spills.
 */
struct secrets_search {
	uint64_t key;
	uint64_t mark; /* the half that all share; no byte of it is zero in the clear */
	uint32_t nr;
	uint32_t parts;		   /* found: the mark, with nobody's other half behind it */
	uint64_t part_at;	   /* address of the last of them */
	uint64_t own[SECRETS_MAX]; /* the other halves */
	uint32_t found[SECRETS_MAX];
	const uint8_t *at[SECRETS_MAX]; /* of each, where it was found last */

	struct asi *domain; /* whose space is searched */
	struct stack stack; /* on this stack, GLOBAL too */

	uint32_t nr_ranges;
	struct {
		const uint8_t *start;
		uint64_t len;
	} range[SEARCH_RANGES];
};

/* Looks at every byte of @len at @p, both multiples of 8. Touches no other memory than @s. */
void secrets_search_range(struct secrets_search *s, const uint8_t *p, uint64_t len);

/* Goes into @s->domain and looks at all ranges; whether it has been there. And the same on @stack. */
bool secrets_search_here(struct secrets_search *s);
bool secrets_search_on_stack(struct secrets_search *s, struct stack *stack);
