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

/*
 * The symbol that holds @addr, and in *@offset how far into it; NULL if @addr
 * lies outside the image. The string lives for ever.
 */
const char *symbol_lookup(uint64_t addr, uint64_t *offset);

/*
 * The address of the symbol named @name (@len bytes), the lowest one where several files have one of that name, how many
 * bytes it has up to the next symbol, and its name, which lives for ever. False if there is none.
 */
struct symbol {
	uint64_t addr, len;
	const char *name;
};
bool symbol_find(const char *name, size_t len, struct symbol *out);
