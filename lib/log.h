/* SPDX-License-Identifier: MIT */
/*
 * Console text. Lines that start with '@' are records: a word and one JSON
 * object (docs/serial.md). Guest registers and memory never go through here.
 */
#pragma once
#include <stddef.h>
#include "lib/compiler.h"

/*
 * Prints one line; the line end is added here, and a control character in the text
 * comes out as '?'. Any context; a line longer than 510 bytes is cut and ends in "...".
 * Stays restricted.
 */
void log_info(const char *fmt, ...) __printf(1, 2);
/* As log_info, with "error: " before the text. */
void log_error(const char *fmt, ...) __printf(1, 2);

/* REQUIRED of drivers/console.c: writes @len bytes, each '\n' as "\r\n". Any context. */
void console_write(const char *text, size_t len);
