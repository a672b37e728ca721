/* SPDX-License-Identifier: MIT */
/* What is decided once, by what the boot processor has, holds for another CPU only if that has the same. */
#pragma once

/* Notes this CPU's features and control registers: on the boot processor, before VMX is on. */
void cpusame_note(void);
/* On another CPU, as far initialised: NULL, or the first that is not as noted. */
const char *cpusame_differs(void);
