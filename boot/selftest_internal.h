/* SPDX-License-Identifier: MIT */
/* What the files of the self-test share. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/stack.h"
#include "asi/asi.h"
#include "lib/log.h"

/* In a test: logs what is not so and ends it. */
#define CHECK(cond)                                                             \
	do {                                                                    \
		if (!(cond)) {                                                  \
			log_error("selftest: %s: not so: %s", __func__, #cond); \
			return false;                                           \
		}                                                               \
	} while (0)

/* selftest_stack.c: on a stack of @asi's owner; @base is the base stack of this CPU. */
bool test_stacks(const struct asi *asi, const struct stack *base);

/*
 * Two of the tests, with the domain of the self-test and its owner: the audit, and the search for secrets,
 * find what is planted for them and nothing else.
 */
bool selftest_audit(struct mem_owner *owner, struct asi *domain);
bool selftest_secrets(struct mem_owner *owner, struct asi *domain);
/* NMIs, interrupts and work for the parked CPUs; and that work. */
bool selftest_cpus(void);
void selftest_cpus_work(void);
