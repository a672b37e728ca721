/* SPDX-License-Identifier: MIT */
/*
 * Text formatting. Pure: nothing is read but the arguments, nothing is written but
 * the buffer, so that it works in any address space and in a panic.
 */
#include <stdbool.h>
#include <stdint.h>
#include "lib/bitops.h"
#include "lib/fmt.h"
#include "lib/string.h"

struct out {
	char *buf;
	size_t size, len; /* len: of the whole text, written or not */
};

/* One conversion, "%-08lx" taken apart. */
struct spec {
	bool left, zero, has_precision;
	size_t width, precision;
	unsigned int longs; /* l, ll and z: all 64 bits */
	char conversion;
};

/* A va_list decays to a pointer when passed on; inside a struct it can be handed down. */
struct args {
	va_list ap;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, size_t width, size_t used)
{
	for (; used < width; used++)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text, size_t len)
{
	if (!s->left)
		pad(o, ' ', s->width, len);
	for (size_t i = 0; i < len; i++)
		put(o, text[i]);
	if (s->left)
		pad(o, ' ', s->width, len);
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, const char *prefix,
		       unsigned int base)
{
	const char *digits = s->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char reversed[20]; /* 2^64 has 20 decimal digits */
	size_t n = 0, used;

	do {
		reversed[n++] = digits[v % base];
		v /= base;
	} while (v);

	used = n + strlen(prefix);
	if (!s->left && !s->zero)
		pad(o, ' ', s->width, used);
	for (; *prefix; prefix++)
		put(o, *prefix);
	if (!s->left && s->zero)
		pad(o, '0', s->width, used);
	while (n)
		put(o, reversed[--n]);
	if (s->left)
		pad(o, ' ', s->width, used);
}

/* Reads a width or precision at @p, digits or '*'; returns what stands behind it. */
static const char *read_count(const char *p, struct args *a, bool *negative, size_t *count)
{
	*count = 0;
	*negative = false;
	if (*p == '*') {
		int v = va_arg(a->ap, int);

		*negative = v < 0;
		*count = *negative ? 0U - (unsigned int)v : (unsigned int)v;
		return p + 1;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		*count = *count * 10 + (size_t)(*p - '0');
	return p;
}

/* Takes apart the conversion behind a '%'; returns its last character's address. */
static const char *read_spec(const char *p, struct args *a, struct spec *s)
{
	bool negative;

	*s = (struct spec){ 0 };
	for (; *p == '-' || *p == '0'; p++) {
		s->left |= *p == '-';
		s->zero |= *p == '0';
	}
	p = read_count(p, a, &negative, &s->width);
	s->left |= negative;
	if (*p == '.') {
		/* As in C, a negative precision counts as none. */
		p = read_count(p + 1, a, &negative, &s->precision);
		s->has_precision = !negative;
	}
	for (; *p == 'l' || *p == 'z'; p++)
		s->longs++;
	s->conversion = *p;
	return p;
}

static uint64_t unsigned_arg(const struct spec *s, struct args *a)
{
	return s->longs ? va_arg(a->ap, uint64_t) : va_arg(a->ap, unsigned int);
}

static int64_t signed_arg(const struct spec *s, struct args *a)
{
	return s->longs ? va_arg(a->ap, int64_t) : va_arg(a->ap, int);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	if (!text)
		text = "(null)";
	put_text(o, s, text, strnlen(text, s->has_precision ? s->precision : SIZE_MAX));
}

static void put_signed(struct out *o, const struct spec *s, int64_t v)
{
	/* 0 - v in unsigned arithmetic also holds for INT64_MIN. */
	put_number(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0 ? "-" : "", 10);
}

/* Writes one conversion with its argument; false if we do not know it. */
static bool put_conversion(struct out *o, const struct spec *s, struct args *a)
{
	char c;

	if (s->has_precision && s->conversion != 's')
		return false;
	switch (s->conversion) {
	case 's':
		put_string(o, s, va_arg(a->ap, const char *));
		return true;
	case 'c':
		c = (char)va_arg(a->ap, int);
		put_text(o, s, &c, 1);
		return true;
	case 'd':
	case 'i':
		put_signed(o, s, signed_arg(s, a));
		return true;
	case 'u':
		put_number(o, s, unsigned_arg(s, a), "", 10);
		return true;
	case 'x':
	case 'X':
		put_number(o, s, unsigned_arg(s, a), "", 16);
		return true;
	case 'p':
		put_number(o, s, (uintptr_t)va_arg(a->ap, void *), "0x", 16);
		return true;
	case '%':
		put(o, '%');
		return true;
	default:
		return false;
	}
}

size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };
	struct args a;
	struct spec s;

	va_copy(a.ap, ap);
	for (const char *p = fmt; *p; p++) {
		const char *end;

		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		end = read_spec(p + 1, &a, &s);
		if (!put_conversion(&o, &s, &a)) {
			/* Its argument's size is unknown, so all later ones are lost: print the rest as it is. */
			for (; *p; p++)
				put(&o, *p);
			break;
		}
		p = end;
	}
	va_end(a.ap);
	if (size)
		buf[MIN(o.len, size - 1)] = '\0';
	return o.len;
}

size_t fmt_print(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = fmt_vprint(buf, size, fmt, ap);
	va_end(ap);
	return len;
}
