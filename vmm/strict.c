/* SPDX-License-Identifier: MIT */
/*
 * Guests with "asi=strict". All that their exits touch is LOCAL or nonsensitive, or is left for by call. A
 * handler that meets sensitive memory by a fault does what it was not written to do: a place that was
 * overlooked, or a bug that the guest has found. The access is not made and the guest ends.
 */
#include "arch/spinlock.h"
#include "arch/stack.h"
#include "arch/trap.h"
#include "asi/crossing.h"
#include "lib/log.h"
#include "lib/symbol.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static void say(const struct vm *vm, uint64_t rip, uint64_t cr2)
{
	char what[CROSSING_WHAT_MAX];
	uint64_t offset = 0;
	const char *name = symbol_lookup(rip, &offset);

	asi_describe(cr2, what, sizeof(what));
	log_info("%s: stopped: strict, and %s+0x%lx touched 0x%lx (%s)", vm->options.name,
		 name ? name : "?", offset, cr2, what);
}

void asi_strict_stop(struct trap_frame *frame, uint64_t cr2)
{
	struct vcpu *v = vcpu_in_use();

	if (!v)
		return; /* a test of our own */
	vm_stop(v->vm, VERDICT_STOPPED, "sensitive-access", 0);
	say(v->vm, frame->rip, cr2);
	/*
	 * Back to the base stack, as if its last turn had ended. Somebody waits for a lock that it holds, so
	 * then the access is made and the handler goes on to its end, which finds the guest stopped.
	 */
	if (!this_cpu(locks_held))
		frame->rip = (uint64_t)stack_leave;
}
