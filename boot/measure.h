/* SPDX-License-Identifier: MIT */
/* bench=on: what the switch between address spaces costs, measured from inside, before any guest runs. */
#pragma once
#include <stdbool.h>

/* Prints a @bench record for each measurement. False without memory. Unrestricted, base context. */
bool measure_run(void);

/* All measurements in @asi; and the same on @stack, which @asi maps: the base stack is sensitive. */
struct asi;
struct stack;
void measure_all(struct asi *asi);
void measure_on_stack(struct asi *asi, struct stack *stack);
