/* SPDX-License-Identifier: MIT */
/* The real header, once the C library's macros of the same name are out of its way. */
#pragma once
#undef __always_inline
#include_next "lib/compiler.h"
