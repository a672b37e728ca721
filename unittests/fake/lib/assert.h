/* SPDX-License-Identifier: MIT */
/*
 * ASSERT and panic() for unit tests: a test that wants one writes
 * expect_assert_failure(call), any other fails. unittests/fake/cpu.c has the bodies.
 */
#pragma once
#include "lib/panic.h"

__noreturn void fake_assert_failed(const char *expression, const char *file, int line);

/* What the last panic() or failed ASSERT said. */
extern char fake_panic_text[256];
/* Where the last panic_at() said that the trouble is. */
extern unsigned long fake_panic_rip;

#define ASSERT(cond)                                                   \
	do {                                                           \
		if (!(cond))                                           \
			fake_assert_failed(#cond, __FILE__, __LINE__); \
	} while (0)
