/* SPDX-License-Identifier: MIT */
/*
 * Self-test inside the hypervisor: allocators, crossings, page-fault exits, nesting and audit. Needs no
 * VMX; runs at every boot of a debug build, with "selftest=on", and where VMX is missing.
 */
#pragma once
#include <stdbool.h>
#include "asi/asi.h"
#include "lib/log.h"

/* In a test that returns whether it passed. */
#define CHECK(cond)                                                             \
	do {                                                                    \
		if (!(cond)) {                                                  \
			log_error("selftest: %s: not so: %s", __func__, #cond); \
			return false;                                           \
		}                                                               \
	} while (0)

/* Prints a line a test; true if all passed. Unrestricted, base context, after asi_init. */
bool selftest_run(void);

/*
 * Two of the tests, with the domain of the self-test and its owner: the audit, and the search for secrets,
 * find what is planted for them and nothing else.
 */
bool selftest_audit(struct mem_owner *owner, struct asi *domain);
bool selftest_secrets(struct mem_owner *owner, struct asi *domain);
