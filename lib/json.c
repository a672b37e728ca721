/* SPDX-License-Identifier: MIT */
/* Text inside the JSON object of a record. */
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/string.h"

size_t json_escape(char *buf, size_t size, const char *s)
{
	size_t len = 0;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char one[sizeof("\\u0000")];
		size_t n;

		if (c == '"' || c == '\\')
			n = fmt_print(one, sizeof(one), "\\%c", c);
		else if (c < ' ' || c > '~')
			n = fmt_print(one, sizeof(one), "\\u%04x", c);
		else
			n = fmt_print(one, sizeof(one), "%c", c);
		if (len + n >= size)
			break;
		memcpy(buf + len, one, n);
		len += n;
	}
	buf[len] = '\0';
	return len;
}
