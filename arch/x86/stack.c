/* SPDX-License-Identifier: MIT */
/* Canaries of stacks, and what happens when one is found dead. */
#include "arch/stack.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/percpu_area.h"
#include "arch/random.h"
#include "arch/regs.h"
#include "lib/panic.h"

/* The byte next to the buffers is 0, where overflowing strings end. */
#define CANARY_MASK (~0xffUL)

static __percpu_sensitive struct stack base_stack;

/* The stack may be the one in use: no canary of its own. */
__no_stack_protector void stack_init(struct stack *s, void *top)
{
	s->canary = random_word() & CANARY_MASK;
	s->top = top;
}

struct stack *stack_base_init(void)
{
	struct stack *s = this_cpu_sensitive(base_stack);

	stack_init(s, (void *)percpu_base_stack_top(this_cpu(cpu_number)));
	return s;
}

struct stack *stack_current(void)
{
	return (struct stack *)rdmsr(MSR_FS_BASE);
}

void __stack_chk_fail(void)
{
	const unsigned long *frame = __builtin_frame_address(0);

	/* Where the function called us; what its frame says of its callers may be overwritten as well. */
	panic_at(frame[1] - 1, frame[0],
		 "stack overwritten: the canary of a function has changed "
		 "while it ran");
}
