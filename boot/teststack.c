/* SPDX-License-Identifier: MIT */
#include "boot/teststack.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"

#define TESTSTACK_SIZE 16384

struct stack *teststack_create(struct mem_owner *owner)
{
	struct stack *stack = page_zalloc(0, LOCAL, owner);
	char *memory = vmalloc(TESTSTACK_SIZE, LOCAL, owner);

	if (stack && memory) {
		stack_init(stack, memory + TESTSTACK_SIZE);
		return stack;
	}
	if (stack)
		page_free(stack, 0);
	vfree(memory);
	return NULL;
}

void teststack_destroy(struct stack *stack)
{
	vfree((char *)stack->top - TESTSTACK_SIZE);
	vmalloc_flush();
	page_free(stack, 0);
}
