/* SPDX-License-Identifier: MIT */
/* A stack to go into a restricted space on, without a vCPU: for the self-test and for faults on demand. */
#pragma once
#include "arch/stack.h"
#include "mm/class.h"

/* Stack, guard pages and canary in @owner's LOCAL memory; NULL if there is none. Unrestricted. */
struct stack *teststack_create(struct mem_owner *owner);
/* Gives all of it back, unmapped. */
void teststack_destroy(struct stack *stack);
