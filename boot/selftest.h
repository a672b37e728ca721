/* SPDX-License-Identifier: MIT */
/*
 * Self-test inside the hypervisor: allocators, crossings, page-fault exits, nesting and audit. Needs no
 * VMX; runs at every boot of a debug build, with "selftest=on", and where VMX is missing.
 */
#pragma once
#include <stdbool.h>

/* Prints a line a test; true if all passed. Unrestricted, base context, after asi_init. */
bool selftest_run(void);

/* Runs one test on @stack; start.S defines it by selftest_one() (arch/stack.h). */
struct selftest;
struct stack;
bool selftest_on_stack(const struct selftest *test, struct stack *stack);
bool selftest_one(const struct selftest *test);
