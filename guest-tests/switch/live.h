/* SPDX-License-Identifier: MIT */
/* Registers that a C function cannot hold on to: live.S loads, keeps and stores them. */
#pragma once

#include "guest-tests/lib/guest.h"

struct live {
	u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15; RSP is not loaded */
	u64 xmm[32];
};

extern struct live live_in, live_out;
extern u64 live_rsp;   /* RSP while the others were loaded */
extern u64 live_spins; /* rounds of a loop without an exit; counted down */
extern u8 live_halts;  /* whether HLT is executed too: something must wake it */

/* Loads live_in, exits by OUT, spins, perhaps halts, exits by WBINVD, stores live_out. */
void live_run(void);
