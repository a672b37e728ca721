/* SPDX-License-Identifier: MIT */
/* For report.c; tests use print() of guest.h. */
#pragma once

#include <stdarg.h>

void vprint(const char *fmt, va_list ap);
