/* SPDX-License-Identifier: MIT */
/* See lib/jsonlist.h. */
#include "lib/jsonlist.h"
#include <stdarg.h>
#include "lib/fmt.h"
#include "lib/log.h"
#include "lib/string.h"

#define ITEM_MAX 201
#define TAIL	 2 /* "]}" */

void json_list_begin(struct json_list *l, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(l->head, sizeof(l->head), fmt, ap);
	va_end(ap);
	l->name = name;
	l->at = 0;
	l->first = l->nr = 0;
}

void json_list_end(struct json_list *l)
{
	if (!l->at)
		return;
	log_info("%s]}", l->line);
	l->at = 0;
	l->first = l->nr;
}

void json_list_add(struct json_list *l, const char *fmt, ...)
{
	char item[ITEM_MAX];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = fmt_vprint(item, sizeof(item), fmt, ap);
	va_end(ap);
	if (l->at + 1 + len + TAIL >= sizeof(l->line))
		json_list_end(l);
	if (!l->at)
		l->at = fmt_print(l->line, sizeof(l->line), "%s\"first\":%lu,\"%s\":[", l->head,
				  l->first, l->name);
	else
		l->line[l->at++] = ',';
	memcpy(l->line + l->at, item, len + 1);
	l->at += len;
	l->nr++;
}
