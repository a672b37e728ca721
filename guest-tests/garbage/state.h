/* SPDX-License-Identifier: MIT */
/* Shared with run.S: the code page, what its registers point to, and the state to restore. */
#pragma once

#include "guest-tests/lib/guest.h"

extern u8 garbage_page[], garbage_data[];
extern u64 garbage_cr0, garbage_cr3, garbage_cr4;
