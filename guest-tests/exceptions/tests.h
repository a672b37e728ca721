/* SPDX-License-Identifier: MIT */
/* The parts of exceptions, one file each. */
#pragma once

void check_single_step(void);
void check_ring3(void);
void check_events(void);
