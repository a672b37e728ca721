/* SPDX-License-Identifier: MIT */
/* What this CPU must be able to do, and its control registers. */
#pragma once
#include <stdbool.h>

/*
 * Checks the table of features that we cannot do without and sets CR0, CR4 and EFER. Returns NULL,
 * or the name of the first feature that is missing.
 */
const char *cpu_init(void);
/* Whether leaves of 1 GiB exist. */
bool cpu_has_1g_pages(void);
