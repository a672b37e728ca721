/* SPDX-License-Identifier: MIT */
/* Waiting in the idle class's space: what a CPU without work maps and runs on. */
#include "vmm/idle.h"
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/stack.h"
#include "asi/asi.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "mm/vmalloc.h"
#include "vmm/schedule.h"

#define STACK_SIZE KiB(8)
/* TSC ticks: less is not worth a halt, which hardware needs thousands of cycles to come back from. */
#define HALT_MIN 5000

/* GLOBAL: whatever stands here and on the stack is the time at which somebody wakes. */
struct idle {
	struct stack stack;
	struct asi *asi; /* of all CPUs; NULL with ASI off */
	uint64_t until;
};

static struct idle *idles[CPUS_MAX];
static __nonsensitive bool idle_polls;

static int init_cpu(uint32_t cpu, struct asi *asi)
{
	struct idle *idle = kzalloc(sizeof(*idle), GLOBAL, NULL);
	char *memory = vmalloc(STACK_SIZE, GLOBAL, NULL);

	if (!idle || !memory) {
		kfree(idle);
		vfree(memory);
		return -ENOMEM;
	}
	stack_init(&idle->stack, memory + STACK_SIZE);
	idle->asi = asi;
	idles[cpu] = idle;
	return 0;
}

int idle_init(uint64_t cpus, bool poll)
{
	struct asi *asi;
	int err = asi_create(ASI_IDLE, NULL, &asi);

	idle_polls = poll;
	for_each_cpu (cpu, cpus)
		if (!err)
			err = init_cpu(cpu, asi);
	return err;
}

void idle_halt(uint64_t until)
{
	uint64_t now = rdtsc();

	if (!idle_polls && until > now + HALT_MIN && apic_timer_set(until == ~0UL ? 0 : until)) {
		cpu_wait();
		return;
	}
	cpu_pause();
	irq_window();
}

/* By vmx_run.S on the idle stack. */
void idle_wait(struct idle *idle);
void idle_wait_on_stack(struct idle *idle, struct stack *stack);

/* In the critical section to its end, so that whatever interrupts and leaves comes back: a sibling waits for that. */
void idle_wait(struct idle *idle)
{
	asi_enter(idle->asi);
	while (rdtsc() < idle->until && !sched_is_asked())
		idle_halt(idle->until);
	asi_relax();
	asi_exit();
}

void idle_until(uint64_t until)
{
	struct idle *idle = idles[this_cpu(cpu_number)];

	idle->until = until;
	idle_wait_on_stack(idle, &idle->stack);
}
