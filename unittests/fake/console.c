/* SPDX-License-Identifier: MIT */
/* Rows of the console, as drivers/console.c has them, over the test's console_write(). */
#include <string.h>
#include "drivers/console.h"
#include "lib/log.h"

static uint32_t row;

void console_put(uint32_t owner, const char *prefix, const char *bytes, size_t len)
{
	if (row && row != owner)
		console_write("\n", 1);
	if (row != owner)
		console_write(prefix, strlen(prefix));
	console_write(bytes, len);
	row = bytes[len - 1] == '\n' ? 0 : owner;
}

bool console_row_is(uint32_t owner)
{
	return row == owner;
}
