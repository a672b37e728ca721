/* SPDX-License-Identifier: MIT */
/* Looks an address up in the table that scripts/mksyms made of the linked image. */
#include <stddef.h>
#include "lib/string.h"
#include "lib/symbol.h"

/*
 * Made by scripts/mksyms; an image linked without a table has a count of 0. Addresses
 * are distances from the image's base, ascending. The last entry is the image's end: it
 * bounds the last symbol and names nothing itself.
 */
extern const uint32_t symbol_table_count;
extern const uint32_t symbol_table_addresses[]; /* by rank */
extern const uint32_t symbol_table_names[];	/* by rank: where the name starts in ..._strings */
extern const char symbol_table_strings[];

#define SYMBOL_BASE \
	0xffffffff80000000UL /* IMAGE_BASE of arch/layout.h, which lib may not include */

static struct symbol symbol_of_rank(uint32_t i)
{
	return (struct symbol){ .addr = SYMBOL_BASE + symbol_table_addresses[i],
				.len = symbol_table_addresses[i + 1] - symbol_table_addresses[i],
				.name = symbol_table_strings + symbol_table_names[i] };
}

bool symbol_holding(uint64_t addr, struct symbol *out)
{
	uint32_t low = 0, high = symbol_table_count;
	uint64_t at = addr - SYMBOL_BASE;

	if (high < 2 || addr < SYMBOL_BASE || at < symbol_table_addresses[0] ||
	    at >= symbol_table_addresses[high - 1])
		return false;
	/* addresses[low] <= at < addresses[high]: of symbols at one address, the last is found. */
	for (high--; high - low > 1;) {
		uint32_t middle = low + (high - low) / 2;

		if (symbol_table_addresses[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	*out = symbol_of_rank(low);
	return true;
}

const char *symbol_lookup(uint64_t addr, uint64_t *offset)
{
	struct symbol s;

	if (!symbol_holding(addr, &s))
		return NULL;
	*offset = addr - s.addr;
	return s.name;
}

bool symbol_find(const char *name, size_t len, struct symbol *out)
{
	for (uint32_t i = 0; i + 1 < symbol_table_count; i++) {
		const char *found = symbol_table_strings + symbol_table_names[i];

		if (strlen(found) != len || memcmp(found, name, len) != 0)
			continue;
		*out = symbol_of_rank(i);
		return true;
	}
	return false;
}
