/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses of the image. The table is made from the linked image by
 * scripts/mksyms and put behind everything else in a second link, so that no
 * address moves (symbol.c says what it holds; its last entry is the image's end).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
	uint64_t addr, len; /* up to the next symbol */
	const char *name;   /* lives for ever */
};

/* The symbol that holds @addr; false if @addr lies outside the image. */
bool symbol_holding(uint64_t addr, struct symbol *out);
/* Its name alone, and in *@offset how far into it @addr is; NULL if there is none. */
const char *symbol_lookup(uint64_t addr, uint64_t *offset);

/* The symbol named @name (@len bytes), the lowest one where several files have one of that name. False if there is none. */
bool symbol_find(const char *name, size_t len, struct symbol *out);
