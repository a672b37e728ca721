/* SPDX-License-Identifier: MIT */
/* COM1 without interrupts, and a printf of the few conversions that tests need. */
#include <stdarg.h>

#include "guest-tests/lib/console.h"
#include "guest-tests/lib/cpu.h"

enum { COM1 = 0x3f8, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5, LSR_THRE = 0x20 };

void console_init(void)
{
	outb(COM1 + IER, 0);
	outb(COM1 + FCR, 1);
	outb(COM1 + LCR, 3); /* 8 data bits */
	outb(COM1 + MCR, 3); /* DTR and RTS, no loopback */
}

static void put(char c)
{
	/* A missing UART must not hang the guest: it still has its exit port. */
	for (unsigned int i = 0; i < 100000 && !(inb(COM1 + LSR) & LSR_THRE); i++)
		;
	outb(COM1, (u8)c);
}

static void put_number(u64 v, unsigned int base, int width, char pad)
{
	char buf[24];
	int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	for (int i = n; i < width; i++)
		put(pad);
	while (n)
		put(buf[--n]);
}

static void put_signed(s64 v, int width, char pad)
{
	if (v < 0)
		put('-');
	put_number(v < 0 ? -(u64)v : (u64)v, 10, width, pad);
}

static void put_string(const char *s, int width)
{
	int n = 0;

	for (; s[n]; n++)
		put(s[n]);
	for (; n < width; n++)
		put(' ');
}

/* %[0][width][l]{d,u,x,s,c}; anything else is printed as it stands. */
void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		char pad = ' ';
		int width = 0;
		bool wide = false;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		if (*++fmt == '0')
			pad = '0';
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + *fmt - '0';
		for (; *fmt == 'l'; fmt++)
			wide = true;
		switch (*fmt) {
		case 'd':
			put_signed(wide ? va_arg(ap, s64) : va_arg(ap, s32), width, pad);
			break;
		case 'u':
		case 'x':
			put_number(wide ? va_arg(ap, u64) : va_arg(ap, u32), *fmt == 'u' ? 10 : 16,
				   width, pad);
			break;
		case 's':
			put_string(va_arg(ap, const char *), width);
			break;
		case 'c':
			put((char)va_arg(ap, int));
			break;
		default:
			put(*fmt);
			break;
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}
