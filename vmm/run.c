/* SPDX-License-Identifier: MIT */
/*
 * The whole path of a VM exit. With arch/x86/vmx_run.S and the handler in question this is
 * everything that there is to know about one:
 *
 *   asi_enter -> vmx_run -> asi_relax -> handle_exit -> skip -> (attend: deliver events) -> again
 *
 * From asi_enter to asi_relax is the critical section: whatever is touched there is LOCAL (the
 * vCPU, its VM, statistics, the stack it all runs on), GLOBAL or nonsensitive. In handlers a miss
 * is served by a crossing, but costs one. Interrupts are off all the time; an interrupt that is
 * pending makes the next VM entry exit, and is let in then. What to expect of each handler:
 *
 *   CPUID, RDMSR, WRMSR, CR access, XSETBV     restricted: VMCS, vCPU and constant tables
 *   I/O                                        restricted; writes to the console too
 *   HLT, RDTSC, cache, hidden instructions     restricted
 *   VMCALL                                     restricted, but for the audit and what gives or
 *                                              takes memory (by call)
 *   exceptions, NMI, interrupts, windows       restricted
 *   preemption timer                           restricted; if several VMs take turns, this one
 *                                              leaves by call afterwards
 *   APIC access, APIC write, virtual EOI       restricted, of local APICs that the CPU serves
 *   EPT violation                              restricted if the VM's own pool has a free page for
 *                                              the tables; else the buddy converts a block
 *   what stops a VM                            restricted up to the report, which leaves by call
 *
 * All of this runs on the vCPU's own stack, and so does what lies between two turns while nobody else wants the
 * CPU. The base stack is sensitive: vcpu_turns() leaves before it goes back there.
 */
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/trace.h"
#include "arch/vmx.h"
#include "asi/asi.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "vmm/exit.h"
#include "vmm/idle.h"
#include "vmm/post.h"
#include "vmm/runqueue.h"
#include "vmm/schedule.h"
#include "vmm/stats.h"
#include "vmm/vm.h"

/* What is rare, or not there on most machines: the switch below does not get longer for it. */
static __noinline enum exit_action handle_other_exit(struct vcpu *v, uint32_t reason)
{
	switch (reason) {
	case EXIT_REASON_APIC_ACCESS:
		inject_note_vectoring(v);
		return exit_apic_access(v);
	case EXIT_REASON_APIC_WRITE:
		return exit_apic_write(v);
	case EXIT_REASON_VIRTUALIZED_EOI:
		return exit_virtual_eoi(v);
	default:
		exit_unhandled(v);
		v->exit_reason =
			MIN(reason, EXIT_REASON_NR - 1U); /* all unknown ones are counted as one */
		return STOP_VM;
	}
}

/*
 * A switch and not a table of functions: -fno-jump-tables makes direct branches of it. Only the reasons
 * that say inject_note_vectoring() can interrupt the delivery of an event (SDM, "Information for VM
 * Exits That Occur During Event Delivery").
 */
static __always_inline enum exit_action handle_exit(struct vcpu *v, uint32_t reason)
{
	switch (reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		inject_note_vectoring(v);
		return exit_exception_nmi(v);
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		return exit_external_interrupt(v);
	case EXIT_REASON_TRIPLE_FAULT:
		return exit_triple_fault(v);
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
		return exit_interrupt_window(v);
	case EXIT_REASON_TASK_SWITCH:
		inject_note_vectoring(v);
		return exit_task_switch(v);
	case EXIT_REASON_CPUID:
		return exit_cpuid(v);
	case EXIT_REASON_HLT:
		return exit_hlt(v);
	case EXIT_REASON_INVD:
	case EXIT_REASON_WBINVD:
		return exit_cache(v);
	case EXIT_REASON_RDPMC:
		return exit_rdpmc(v);
	case EXIT_REASON_RDTSC:
	case EXIT_REASON_RDTSCP:
		return exit_rdtsc(v);
	case EXIT_REASON_VMCALL:
		return exit_hypercall(v);
	case EXIT_REASON_VMCLEAR:
	case EXIT_REASON_VMLAUNCH:
	case EXIT_REASON_VMPTRLD:
	case EXIT_REASON_VMPTRST:
	case EXIT_REASON_VMREAD:
	case EXIT_REASON_VMRESUME:
	case EXIT_REASON_VMWRITE:
	case EXIT_REASON_VMXOFF:
	case EXIT_REASON_VMXON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_VMFUNC:
		return exit_vmx_insn(v);
	case EXIT_REASON_GETSEC:
	case EXIT_REASON_MONITOR:
	case EXIT_REASON_MWAIT:
		return exit_hidden_insn(v);
	case EXIT_REASON_PAUSE:
		return exit_pause(v);
	case EXIT_REASON_CR_ACCESS:
		return exit_cr(v);
	case EXIT_REASON_IO:
		return exit_io(v);
	case EXIT_REASON_RDMSR:
		return exit_rdmsr(v);
	case EXIT_REASON_WRMSR:
		return exit_wrmsr(v);
	case EXIT_REASON_ENTRY_GUEST_STATE:
	case EXIT_REASON_ENTRY_MSR_LOADING:
	case EXIT_REASON_ENTRY_MACHINE_CHECK:
		return exit_entry_failure(v);
	case EXIT_REASON_EPT_VIOLATION:
		inject_note_vectoring(v);
		return exit_ept_violation(v);
	case EXIT_REASON_EPT_MISCONFIG:
		inject_note_vectoring(v);
		return exit_ept_misconfig(v);
	case EXIT_REASON_PREEMPTION_TIMER:
		return exit_preemption_timer(v);
	case EXIT_REASON_XSETBV:
		return exit_xsetbv(v);
	default:
		return handle_other_exit(v, reason);
	}
}

/* VMfail: our own bug. Called by vmx_run.S in place of an exit. */
void vmx_entry_failed(void)
{
	asi_relax(); /* so that the report can leave for symbols */
	panic("VM entry failed: %s (event 0x%x)",
	      vmx_error_name(vmcs_read32(VMCS_INSTRUCTION_ERROR)),
	      vmcs_read32(VMCS_ENTRY_INTR_INFO));
}

/* The one place where RIP advances. */
static __always_inline void skip(const struct vcpu *v, uint64_t len)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), next = rip + len;
	uint32_t blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);

	/* Outside 64-bit mode EIP wraps; VM entry refuses a RIP that is longer. */
	if (unlikely((rip ^ next) >> 32) && !vcpu_in_64bit(v))
		next = (uint32_t)next;
	vmcs_write(VMCS_GUEST_RIP, next);
	/* What STI and MOV SS shadow is the one instruction behind them: the one skipped. */
	if (unlikely(blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)))
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   blocked & ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
	/* A single step traps behind the instruction, also behind one that we have executed. */
	if (unlikely(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		vmcs_write(VMCS_GUEST_PENDING_DBG,
			   vmcs_read(VMCS_GUEST_PENDING_DBG) | PENDING_DBG_BS);
}

void vcpu_skip_bytes(struct vcpu *v, unsigned int len)
{
	skip(v, len);
}

/* Makes the VMX-preemption timer run out at the end of the turn or when the guest's timer does. */
static void arm_preemption_timer(const struct vcpu *v, uint64_t now)
{
	uint64_t end = v->slice_end;

	if (v->timer_deadline && v->timer_deadline < end)
		end = v->timer_deadline;
	vmcs_write(VMCS_PREEMPTION_TIMER, vmx_timer_value(end > now ? end - now : 0));
}

/*
 * How late a timer of the guest's may be, in TSC ticks: the preemption timer is set anew when so much time has
 * passed, and not at each exit, whatever is due then.
 */
#define TIMER_LATE_MAX 5000

/* What goes before the next entry, and when it has to be done again. */
static void prepare_entry(struct vcpu *v)
{
	uint64_t due = v->slice_end, now;

	vcpu_sync_ept(v);
	vcpu_deliver_events(v);
	/* The preemption timer stands still while we run, a deadline of the guest's does not. */
	now = rdtsc();
	arm_preemption_timer(v, now); /* also if there is no deadline any more */
	if (v->timer_deadline)
		due = MIN(due, MIN(v->timer_deadline, now + TIMER_LATE_MAX));
	v->events.due = v->events.windows ? 0 : due;
}

/*
 * What is not due at every exit: the guest's timer, what was typed, mail of other vCPUs, the end of the turn, pending
 * events, the end of the VM. False if the vCPU does not go on now.
 */
static __noinline bool attend(struct vcpu *v)
{
	vcpu_check_timer(v, v->exit_tsc);
	if (unlikely(READ_ONCE(v->vm->typed.due)))
		virtio_receive(v->vm);
	post_collect(v);
	if (v->state != VCPU_RUNNABLE || v->exit_tsc >= v->slice_end || sched_is_asked() ||
	    v->request.number || READ_ONCE(v->vm->verdict) != VERDICT_NONE)
		return false;
	prepare_entry(v);
	return true;
}

/*
 * The domain's PCID on this CPU may have changed: the exit must land in the right one. The comparison that
 * finds this out also serves the vCPUs that are flushed at each entry or exit: theirs never matches.
 */
static __noinline void set_host_cr3(struct vcpu *v, uint64_t cr3)
{
	vmcs_write(VMCS_HOST_CR3, cr3);
	v->host_cr3 = cr3;
	if (mitigate_each_entry(v->asi)) {
		v->host_cr3 = 0;
		mitigate_entry(v->asi);
	}
}

/*
 * In the critical section from before to behind. False if the guest has not run, because a sibling of this CPU is
 * unrestricted.
 */
static __always_inline bool enter_guest(struct vcpu *v, uint64_t now)
{
	uint64_t cr3 = asi_host_cr3(), tsc;

	if (unlikely(cr3 != v->host_cr3))
		set_host_cr3(v, cr3);
	if (unlikely(!stun_guest_begin()))
		return false;
	asi_check_entry(v->asi, cr3);
	vmx_run(v);
	stun_guest_end();
	tsc = rdtsc();
	asi_relax();
	v->exit_tsc = tsc;
	v->guest_ticks += tsc - now;
	return true;
}

/* Serves the exit. Whether the guest goes on at once. */
static __always_inline bool serve_exit(struct vcpu *v)
{
	uint32_t reason = vmcs_read32(VMCS_EXIT_REASON) & EXIT_REASON_BASIC_MASK;

	v->exit_reason = reason;
	if (unlikely(v->trace))
		trace_put(v->trace, TRACE_EXIT, reason, v->exit_tsc);
	if (handle_exit(v, reason) == RESUME_NEXT)
		skip(v, vmcs_read(VMCS_EXIT_INSN_LEN));
	return likely(v->exit_tsc < v->events.due) || attend(v);
}

/* The clean point before the next try to enter the guest. Whether the vCPU goes on. */
static __noinline bool wait_for_sibling(struct vcpu *v)
{
	vcpu_withdraw_events(v);
	asi_relax();
	irq_window();
	cpu_serve();
	cpu_pause();
	v->exit_tsc = rdtsc();
	return attend(v);
}

/* One turn: until slice_end, or until the vCPU halts or stops. */
static void turn(struct vcpu *v)
{
	uint64_t now = rdtsc();
	bool restricted;

	stats_maybe_sample(v->stats, now);
	/*
	 * The guest is entered once even if the turn is over by now: what is left of its time limit may be
	 * less than the way here takes, and nothing but an entry uses it up.
	 */
	prepare_entry(v);
	asi_enter(v->asi);
	if (!v->entry_tsc)
		v->entry_tsc = rdtsc();
	for (;;) {
		if (unlikely(!enter_guest(v, now))) {
			if (!wait_for_sibling(v))
				return;
			asi_enter(v->asi);
			now = rdtsc();
			continue;
		}
		if (!serve_exit(v))
			break;
		restricted = asi_enter(v->asi);
		now = rdtsc();
		if (unlikely(v->trace))
			trace_put(v->trace, TRACE_ENTRY, restricted, now);
		stats_note(v->stats, v->exit_reason, now - v->exit_tsc, restricted);
	}
	restricted = v->asi && asi_current() == v->asi;
	stats_note(v->stats, v->exit_reason, rdtsc() - v->exit_tsc, restricted);
}

/*
 * Nobody else wants the CPU and the guest sleeps: so does this CPU, in the guest's space and on its stack. The target
 * of ASI stays set, so that whatever interrupts and leaves comes back.
 */
static void doze(struct vcpu *v)
{
	uint64_t until = vcpu_wake_time(v);

	asi_enter(v->asi);
	rq_set_idle(this_cpu(cpu_number), true);
	if (!post_is_pending(v->vm, v->id) && !sched_is_asked())
		idle_halt(until);
	rq_set_idle(this_cpu(cpu_number), false);
	asi_relax();
}

/* A guest that halts may wake by what was typed, which is put into its RAM: from its own space, as at an exit. */
static __noinline void take_input(struct vcpu *v)
{
	asi_enter(v->asi);
	asi_relax();
	virtio_receive(v->vm);
}

/* Whether the vCPU has to leave the CPU, ready or not. */
static bool is_wanted_back(const struct vcpu *v)
{
	return !v->alone || sched_is_asked() || v->request.number;
}

void vcpu_turns(struct vcpu *v)
{
	for (;;) {
		/* A kick that waits since the guest ran: not every machine's makes a guest with IF clear exit (Bochs's do not). */
		irq_window();
		if (unlikely(READ_ONCE(v->vm->typed.due)))
			take_input(v);
		if (vcpu_ready(v, v->turn_end)) {
			turn(v);
			if (is_wanted_back(v))
				break;
		} else {
			if (v->state == VCPU_STOPPED || is_wanted_back(v))
				break;
			doze(v);
		}
		if (v->alone)
			v->turn_end = rdtsc() + sched_slice();
	}
	asi_exit(); /* the stack that we return to is sensitive */
}

void vcpu_run(struct vcpu *v, uint64_t end, bool alone)
{
	ASSERT(!irqs_enabled() && !asi_current());
	vcpu_load(v);
	v->alone = alone;
	v->turn_end = end;
	vcpu_turns_on_stack(v, &v->stack);
}
