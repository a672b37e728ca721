/* SPDX-License-Identifier: MIT */
/* Waiting in the idle class's space: what a CPU without work maps and runs on. */
#include "vmm/idle.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/stack.h"
#include "asi/asi.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "mm/vmalloc.h"

#define STACK_SIZE KiB(8)

/* GLOBAL: whatever stands here and on the stack is the time at which somebody wakes. */
struct idle {
	struct stack stack;
	struct asi *asi; /* NULL with ASI off */
	uint64_t until;
};

static __percpu_sensitive struct idle *this_idle;

int idle_init(void)
{
	struct idle *idle = kzalloc(sizeof(*idle), GLOBAL, NULL);
	char *memory = vmalloc(STACK_SIZE, GLOBAL, NULL);

	if (!idle || !memory || asi_create(ASI_IDLE, NULL, &idle->asi)) {
		kfree(idle);
		vfree(memory);
		return -ENOMEM;
	}
	stack_init(&idle->stack, memory + STACK_SIZE);
	*this_cpu_sensitive(this_idle) = idle;
	return 0;
}

/* By vmx_run.S on the idle stack. */
void idle_wait(struct idle *idle);
void idle_wait_on_stack(struct idle *idle, struct stack *stack);

void idle_wait(struct idle *idle)
{
	asi_enter(idle->asi);
	asi_relax();
	while (rdtsc() < idle->until)
		cpu_pause();
	asi_exit();
}

void idle_until(uint64_t until)
{
	struct idle *idle = *this_cpu_sensitive(this_idle);

	idle->until = until;
	idle_wait_on_stack(idle, &idle->stack);
}
