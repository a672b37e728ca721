/* SPDX-License-Identifier: MIT */
/* Reading numbers and key=value words out of command lines. Pure functions. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of @s (@len bytes) as decimal or 0x hexadecimal; false for anything else or overflow. */
bool parse_u64(const char *s, size_t len, uint64_t *out);

/* One blank-separated word of a command line. */
struct word {
	const char *start;
	size_t len;
};

/* Takes the next word off *@line; false at the end. */
bool parse_word(const char **line, struct word *out);

/* Whether @w is "@key=..." ; then *@value is what stands behind the '='. */
bool parse_key(struct word w, const char *key, struct word *value);

/* Whether @w reads exactly @text. */
bool parse_is(struct word w, const char *text);

/* Whether @w names a file ("/boot/x"): some loaders put the image's path in front. */
bool parse_is_path(struct word w);
