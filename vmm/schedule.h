/* SPDX-License-Identifier: MIT */
/* Who runs next, on every CPU. */
#pragma once

/* Runs vCPUs on this CPU until no VM is left. Base stack, unrestricted, interrupts off; the same on return. */
void sched_run(void);
