/* SPDX-License-Identifier: MIT */
/* VMCALL: the interface of vmm/abi.h. */
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/spinlock.h"
#include "arch/vmx.h"
#include "arch/world.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "vmm/abi.h"
#include "vmm/audit.h"
#include "vmm/exit.h"
#include "vmm/guestram.h"
#include "vmm/stats.h"
#include "vmm/vm.h"

static bool is_irq_vector(uint64_t vector)
{
	return vector >= VEC_FIRST_IRQ && vector <= 255;
}

static int64_t start_timer(struct vcpu *v, uint64_t ticks, uint64_t vector)
{
	uint64_t deadline;

	if (!is_irq_vector(vector))
		return HC_EINVAL;
	if (!ticks) {
		v->hc_deadline = 0;
		vcpu_timer_changed(v);
		inject_irq(v, (uint8_t)vector);
		return 0;
	}
	if (__builtin_add_overflow(rdtsc(), ticks, &deadline))
		deadline = ~0UL;
	v->hc_vector = (uint8_t)vector;
	v->hc_deadline = deadline;
	vcpu_timer_changed(v);
	return 0;
}

static int64_t set_tsc_exit(uint64_t on)
{
	uint32_t ctls = vmcs_read32(VMCS_PROC_CTLS);

	if (on > 1)
		return HC_EINVAL;
	vmcs_write(VMCS_PROC_CTLS, on ? ctls | PROC_RDTSC_EXIT : ctls & ~PROC_RDTSC_EXIT);
	return 0;
}

static int64_t pend_irq(struct vcpu *v, uint64_t vector)
{
	if (!is_irq_vector(vector))
		return HC_EINVAL;
	inject_irq(v, (uint8_t)vector);
	return 0;
}

/* The bug that a test wants: sensitive memory, without having left for it. */
static int64_t touch_sensitive(uint64_t locked)
{
	static volatile uint32_t sensitive;
	struct spinlock lock = SPINLOCK(LOCK_VM);
	uint64_t flags = 0;

	if (locked)
		flags = spin_lock(&lock);
	sensitive++;
	if (locked)
		spin_unlock(&lock, flags);
	return 0;
}

/*
 * The audit reads every domain's tables: leave on purpose rather than by a fault. It is long, so what
 * is pending for us comes in between its steps, and others go on.
 */
static int64_t audit(void)
{
	struct audit_walk walk = { 0 };
	bool done = false;

	asi_exit();
	while (!done) {
		world_stop();
		done = audit_step(&walk);
		world_resume();
		irq_window();
	}
	return (int64_t)walk.violations;
}

_Static_assert(HC_EINVAL == -EINVAL && HC_ENOMEM == -ENOMEM, "results are errors as they come");
_Static_assert(HC_MEMORY_UNIT == PAGEBLOCK_SIZE, "what memory is given and taken by");

/* Scrubbing and conversion go on with interrupts off: so much at once. The tables are sensitive. */
static int64_t change_memory(struct vcpu *v, uint32_t number, uint64_t gpa, uint64_t len)
{
	if (len > HC_MEMORY_MAX)
		return HC_EINVAL;
	asi_exit();
	return number == HC_MEMORY_RELEASE ? guestram_release(v->vm, GPA(gpa), len)
					   : guestram_claim(v->vm, GPA(gpa), len);
}

/* Answered by the scheduler (vmm/control.h), which then sets RAX. */
static int64_t ask_control(struct vcpu *v, uint32_t number, uint64_t vm)
{
	if (!v->vm->options.control)
		return HC_EPERM;
	v->request = (struct control_request){ number, vm };
	v->events.due = 0;
	return 0;
}

static int64_t hypercall(struct vcpu *v, uint32_t number, uint64_t arg1, uint64_t arg2)
{
	const struct exit_stats *e = arg1 < EXIT_REASON_NR ? &v->stats->exits[arg1] : NULL;

	switch (number) {
	case HC_VERSION:
		return HC_ABI_VERSION;
	case HC_TIMER:
		return start_timer(v, arg1, arg2);
	case HC_NMI:
		inject_nmi(v);
		return 0;
	case HC_TSC_EXIT:
		return set_tsc_exit(arg1);
	case HC_EXIT_COUNT:
		return e ? (int64_t)e->count : HC_EINVAL;
	case HC_RESTRICTED:
		if (!e)
			return HC_EINVAL;
		return v->asi ? (int64_t)e->restricted : -1;
	case HC_AUDIT:
		return audit();
	case HC_IRQ:
		return pend_irq(v, arg1);
	case HC_DEBUG_TOUCH:
		return DEBUG ? touch_sensitive(arg1) : HC_EINVAL;
	case HC_MEMORY_RELEASE:
	case HC_MEMORY_CLAIM:
		return change_memory(v, number, arg1, arg2);
	case HC_VM_STATE:
	case HC_VM_STOP:
	case HC_VM_DESTROY:
	case HC_VM_CREATE:
		return ask_control(v, number, arg1);
	default:
		return HC_EINVAL;
	}
}

enum exit_action exit_hypercall(struct vcpu *v)
{
	uint64_t width = vcpu_in_64bit(v) ? ~0UL : 0xffffffffUL;
	uint32_t number = (uint32_t)v->regs[RAX];
	uint64_t arg1 = v->regs[RBX] & width, arg2 = v->regs[RCX] & width;
	int64_t result = HC_EPERM;

	if (vcpu_cpl(v) == 0) {
		if (number == HC_EXIT) {
			vm_stop(v->vm, arg1 ? VERDICT_FAIL : VERDICT_PASS, NULL,
				(uint32_t)MIN(arg1, 0xffffffffUL));
			return STOP_VM;
		}
		result = hypercall(v, number, arg1, arg2);
	}
	v->regs[RAX] = (uint64_t)result & width;
	return RESUME_NEXT;
}
