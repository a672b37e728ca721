/* SPDX-License-Identifier: MIT */
/* See peer.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <unistd.h>

#include "peer.h"

enum { COM1 = 0x3f8, LSR = 5, LSR_THRE = 0x20, LSR_TEMT = 0x40, BOCHS_OFF = 0x8900 };
enum { KLOG_CONSOLE_LEVEL = 8, EMERGENCIES = 1 };

/* While a process has the ports, the kernel does more each time that it returns to it: so no longer than they are used. */
static void ports_take(void)
{
	if (iopl(3))
		abort(); /* the kernel panics, since this is its first process */
}

static void ports_leave(void)
{
	iopl(0);
}

static void put(char c)
{
	while (!(inb(COM1 + LSR) & LSR_THRE))
		;
	outb((unsigned char)c, COM1);
}

void console_open(void)
{
	/* The kernel's own messages would come in the middle of lines. */
	klogctl(KLOG_CONSOLE_LEVEL, NULL, EMERGENCIES);
}

static void say_list(const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (const char *s = text; *s; s++)
		put(*s);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ports_take();
	say_list(fmt, ap);
	put('\n');
	ports_leave();
	va_end(ap);
}

void guest_char(const char *prefix, char c)
{
	static char line[512];
	static size_t length;

	if (c != '\n' && length < sizeof(line) - 1) {
		line[length++] = c;
		return;
	}
	line[length] = 0;
	say("[%s] %s", prefix, line);
	length = 0;
}

static void __attribute__((noreturn)) die_list(const char *fmt, va_list ap, const char *why)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	say("peer: failed: %s%s%s", text, why ? ": " : "", why ? why : "");
	machine_off();
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	die_list(fmt, ap, NULL);
}

void die_errno(const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;

	va_start(ap, fmt);
	die_list(fmt, ap, why);
}

void machine_off(void)
{
	ports_take();
	/* Bochs ends at once, with what its UART still holds. */
	while (!(inb(COM1 + LSR) & LSR_TEMT))
		;
	for (const char *s = "Shutdown"; *s; s++)
		outb((unsigned char)*s, BOCHS_OFF);
	for (;;)
		pause();
}
