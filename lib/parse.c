/* SPDX-License-Identifier: MIT */
/* Numbers and key=value words. Bytes in, values out; nothing is allocated or kept. */
#include "lib/parse.h"
#include "lib/string.h"

/* The value of a hexadecimal digit, or 16. */
static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

bool parse_u64(const char *s, size_t len, uint64_t *out)
{
	unsigned int base = 10;
	uint64_t v = 0;

	if (len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
		len -= 2;
	}
	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned int d = digit_value(s[i]);

		if (d >= base || v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	*out = v;
	return true;
}

/* Line ends count too: they can only come from a boot loader's configuration file. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool parse_word(const char **line, struct word *out)
{
	const char *p = *line;

	while (is_blank(*p))
		p++;
	out->start = p;
	while (*p && !is_blank(*p))
		p++;
	out->len = (size_t)(p - out->start);
	*line = p;
	return out->len != 0;
}

bool parse_key(struct word w, const char *key, struct word *value)
{
	size_t n = strlen(key);

	if (w.len <= n || w.start[n] != '=' || memcmp(w.start, key, n) != 0)
		return false;
	value->start = w.start + n + 1;
	value->len = w.len - n - 1;
	return true;
}

bool parse_is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.start, text, w.len) == 0;
}

bool parse_is_path(struct word w)
{
	bool slash = false;

	for (size_t i = 0; i < w.len; i++) {
		if (w.start[i] == '=')
			return false;
		slash |= w.start[i] == '/';
	}
	return slash;
}
