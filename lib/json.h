/* SPDX-License-Identifier: MIT */
/* Text inside the JSON object of a record (docs/serial.md). */
#pragma once
#include <stddef.h>

/*
 * Writes @s to @buf as the inside of a JSON string: quotes, backslashes and control
 * characters escaped, bytes above 0x7e as \u00XX so that a record stays ASCII. At most
 * @size bytes, the closing NUL included (@size is not 0); what does not fit is cut, never
 * inside an escape, so that the record stays valid. Returns the length written.
 */
size_t json_escape(char *buf, size_t size, const char *s);
