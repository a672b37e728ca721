/* SPDX-License-Identifier: MIT */
/*
 * One call, one line, one console_write(). The line is built on the stack: logging
 * has no static data of its own, so it works in any address space and nests.
 */
#include <stdarg.h>
#include "lib/fmt.h"
#include "lib/log.h"
#include "lib/string.h"

#define LOG_LINE_MAX 512

/* Cuts the line that would be @len bytes long, makes it one line, and writes it. */
static void write_line(char line[LOG_LINE_MAX], size_t len)
{
	if (len > LOG_LINE_MAX - 2) {
		len = LOG_LINE_MAX - 2;
		memcpy(line + len - 3, "...", 3);
	}
	/*
	 * Some of the text comes from outside (command lines, a guest's console). A line
	 * end in it could forge a record, an escape sequence could fool a terminal.
	 */
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n';
	console_write(line, len + 1);
}

void log_info(const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = fmt_vprint(line, sizeof(line), fmt, ap);
	va_end(ap);
	write_line(line, len);
}

void log_error(const char *fmt, ...)
{
	static const char prefix[] = "error: ";
	const size_t n = sizeof(prefix) - 1;
	char line[LOG_LINE_MAX];
	va_list ap;
	size_t len;

	memcpy(line, prefix, n);
	va_start(ap, fmt);
	len = n + fmt_vprint(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	write_line(line, len);
}
