/* SPDX-License-Identifier: MIT */
/* bench=on: what the switch between address spaces costs, measured from inside, before any guest runs. */
#pragma once
#include <stdbool.h>

/* Prints a @bench record for each measurement. False without memory. Unrestricted, base context. */
bool measure_run(void);
