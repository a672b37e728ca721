/* SPDX-License-Identifier: MIT */
/* See asi/secrets_search.h. Nothing sensitive may be touched here. */
#include "asi/secrets_search.h"
#include "asi/secrets.h"
#include "lib/compiler.h"

static uint64_t load(const uint8_t *p)
{
	return *(const volatile any_u64 *)p;
}

/* The mark stands at @p: whose? */
static __noinline void note(struct secrets_search *s, const uint8_t *p)
{
	uint64_t half = load(p + 8) ^ s->key;

	for (uint32_t i = 0; i < s->nr; i++) {
		if (s->own[i] != half)
			continue;
		s->found[i]++;
		s->at[i] = p;
		return;
	}
	s->parts++;
	s->part_at = (uint64_t)p;
}

void secrets_search_range(struct secrets_search *s, const uint8_t *p, uint64_t len)
{
	uint64_t key = s->key, mark = s->mark;

	for (uint64_t at = 0; at + SECRET_SIZE <= len; at += 8) {
		if (!load(p + at))
			continue; /* no secret begins here, since no byte of its mark is zero */
		for (uint64_t i = at; i < at + 8 && i + SECRET_SIZE <= len; i++)
			if (unlikely((load(p + i) ^ key) == mark))
				note(s, p + i);
	}
}
