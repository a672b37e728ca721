/* SPDX-License-Identifier: MIT */
/*
 * ASSERT is always on and guards against our own bugs only: a guest's act is
 * answered with an injected exception or by stopping that VM, and lack of
 * resources is an error code. Unit tests shadow this header so that a failing
 * assertion can be expected.
 */
#pragma once
#include "lib/panic.h"

#define ASSERT(cond)                                                                           \
	do {                                                                                   \
		if (__builtin_expect(!(cond), 0))                                              \
			panic("%s:%d: %s: assertion failed: %s", __FILE__, __LINE__, __func__, \
			      #cond);                                                          \
	} while (0)
