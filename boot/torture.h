/* SPDX-License-Identifier: MIT */
/*
 * NMI torture (docs/asi.md): the state machine's operations run one instruction at a time, and at each
 * boundary, once a run, an NMI or an interrupt comes whose handler does nothing, touches memory, faults or leaves.
 */
#pragma once
#include <stdbool.h>
#include "arch/trap.h"

/*
 * Prints a line and a record for each scenario; true if nothing was found. Unrestricted, base context,
 * before any guest runs: vectors are redirected and RFLAGS.TF is used. True without ASI.
 */
bool torture_run(void);

/* For selftest_trap(): true if the handler of an injected NMI or interrupt, and done. Any context. */
bool torture_trap(const struct trap_frame *frame);
