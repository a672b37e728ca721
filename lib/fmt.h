/* SPDX-License-Identifier: MIT */
/*
 * Text formatting: %s %c %d %i %u %x %X %p %%, with l, ll and z lengths, width,
 * precision for %s (both also as '*', so "%.*s" prints a struct word), and the flags
 * 0 and -. What the hypervisor needs, no more: from an unknown conversion on, the
 * format itself is printed and no argument is read.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include "lib/compiler.h"

/*
 * Writes at most @size bytes to @buf, the closing NUL included (none if @size is
 * 0), and returns the length the whole text has, as snprintf does.
 */
size_t fmt_print(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap) __printf(3, 0);
