/* SPDX-License-Identifier: MIT */
/*
 * An experiment: sensitive static data mapped in every restricted space, to see what its crossings cost and what an attack
 * would find. It breaks the promise of this machine on purpose, for as long as it runs: every report says so.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define EXPOSED_MAX 16

struct exposed {
	const char *name;
	uint64_t start, len; /* of the pages */
};

/*
 * Exposes the pages that [@va, @va + @len) lies in, and whatever else is there. @name, which stays, is what reports call it.
 * 0; -EINVAL: it is not all sensitive data of the image, or ASI is off; -EEXIST: exposed already; -ENOSPC; -ENOMEM.
 * Unrestricted; the world stands still (arch/world.h).
 */
int asi_expose(const char *name, uint64_t va, uint64_t len);
/* The i-th of what is exposed; NULL behind the last. */
const struct exposed *asi_exposed(unsigned int i);
/* Whether all of [@va, @va + @len) is. */
bool asi_is_exposed(uint64_t va, uint64_t len);
/* What records carry behind their last field: `,"experiment":true` if anything is exposed, else "". */
const char *asi_experiment(void);
