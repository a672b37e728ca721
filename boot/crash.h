/* SPDX-License-Identifier: MIT */
/* Faults on demand ("crash=KIND"), so that what a trap prints can be tested from outside. */
#pragma once
#include "arch/stack.h"
#include "lib/parse.h"

/* Commits the fault that @kind names; logs a line and returns if there is no such kind. */
void crash(struct word kind);

/* On a stack that the restricted space maps; start.S defines it by crash_commit() (arch/stack.h). */
struct crash_kind;
void crash_on_stack(const struct crash_kind *kind, struct stack *stack);
void crash_commit(const struct crash_kind *kind);
