/* SPDX-License-Identifier: MIT */
/* The search for secrets on a stack that every space maps (asi/secrets.c). */
#include "arch/regs.h"
#include "arch/stack.h"

	.text
	ON_STACK secrets_search_on_stack, secrets_search_here

	.section .note.GNU-stack, "", @progbits
