/* SPDX-License-Identifier: MIT */
/* Backing the page metadata arrays (mm/page.h). */
#pragma once
#include "mm/ptable.h"

/*
 * Maps struct page and struct pageblock for every 1 GiB of physical space that holds RAM, all
 * pages reserved and all blocks sensitive. Once; the direct map is up. 0 or -ENOMEM.
 */
__must_check int metadata_init(struct ptable *host);
