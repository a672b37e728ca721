/* SPDX-License-Identifier: MIT */
/* Acts that no guest comes back from. */
#pragma once

void last_tables(void);
void last_task(void);
void last_hlt(void);
