/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses of the image. The table is made from the linked image by
 * scripts/mksyms and put behind everything else in a second link, so that no
 * address moves (symbol.c says what it holds; its last entry is the image's end).
 */
#pragma once
#include <stdint.h>

/*
 * The symbol that holds @addr, and in *@offset how far into it; NULL if @addr
 * lies outside the image. The string lives for ever.
 */
const char *symbol_lookup(uint64_t addr, uint64_t *offset);
