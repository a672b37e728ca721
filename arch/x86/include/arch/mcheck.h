/* SPDX-License-Identifier: MIT */
/* Machine checks (SDM, "Machine-Check Architecture"). */
#pragma once
#include <stdbool.h>

/* Logs and clears what is left of errors before, and lets every bank report. Once per CPU. */
void mcheck_init(void);

/*
 * What the #MC handler does, in the unrestricted space: logs the errors that the banks hold and clears
 * them. True if the interrupted code can go on: its RIP is valid, and no error asks for more than a log.
 */
bool mcheck_handle(void);
