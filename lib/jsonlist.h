/* SPDX-License-Identifier: MIT */
/*
 * A record whose last field is a list that may not fit a line: it is cut into several records, each with the same head, and
 * "first", the number of its first item.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"

#define JSON_LIST_HEAD_MAX 160
#define JSON_LIST_LINE_MAX 510 /* that log_info() prints whole */

struct json_list {
	char head[JSON_LIST_HEAD_MAX], line[JSON_LIST_LINE_MAX];
	const char *name;
	size_t at; /* of the line's end; 0: no line is begun */
	uint64_t first, nr;
};

/* Begins: the head is all before "first", such as `@rate {"vm":"a",`, and must fit; @name is the list's. */
void json_list_begin(struct json_list *l, const char *name, const char *fmt, ...) __printf(3, 4);
/* Adds an item, valid JSON of at most 200 bytes, and prints a record when the line is full. */
void json_list_add(struct json_list *l, const char *fmt, ...) __printf(2, 3);
/* Prints what is left; nothing if there is none. */
void json_list_end(struct json_list *l);
