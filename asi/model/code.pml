/* SPDX-License-Identifier: MIT */
/*
 * The code, a statement for each of its statements. "FILE: TEXT" names the one it stands for, and
 * scripts/model sees that the file has that text. Each #ifdef is a planted fault of faults.list.
 *
 * Here: enter, relax, exit, and what interrupts do to them. TLBs are flush.pml's, taints mitigate.pml's.
 */
byte target[CPUS], asi_cr3[CPUS];
#define CURRENT LOAD(CURR(CPU)) /* asi/asi.h: return this_cpu(asi_curr); */

#include "mitigate.pml"
#include "flush.pml"
#if STUN
#include "stun.pml"
#endif

/* Steps that are one where only other CPUs are looked at, and not this one's NMIs: "one_cpu" has those. */
#if STUN
#define TOGETHER atomic
#else
#define TOGETHER
#endif

/* asi/switch.c: static void switch_to(struct asi *asi) */
inline switch_to(asi)
{
#if GENERATIONS && !defined(NO_TRANSIT)
	STORE(CR3_GEN(CPU), 0); /* asi/switch.c: this_cpu(asi_cr3_gen) = 0; */
#endif
	TOGETHER {
#ifdef NO_FENCE_IN_ENTER
		STORE(CURR(CPU), asi);
#elif !defined(CURR_AFTER_CR3)
		EXCHANGE(CURR(CPU), asi); /* asi/switch.c: this_cpu_xchg(asi_curr, asi); */
#endif
#if MITIGATIONS && defined(FLUSH_BEFORE_CR3)
		mitigate_enter(asi);
#endif
		load_restricted(asi) /* asi/switch.c: load_restricted(asi); */
	};
#ifdef CURR_AFTER_CR3
	EXCHANGE(CURR(CPU), asi);
#endif
#if STUN && defined(UNSTUN_BEFORE_FLUSH)
	stun_entered();
#endif
#if MITIGATIONS && !defined(FLUSH_BEFORE_CR3) && !defined(NO_HOOK) || STUN
	mitigate_enter(asi); /* asi/switch.c: mitigate_enter(asi); */
#endif
#if STUN && !defined(UNSTUN_BEFORE_FLUSH)
	stun_entered() /* asi/switch.c: stun_entered(); */
#else
	skip
#endif
}

/* asi/asi.h: static inline bool asi_enter(struct asi *asi) */
inline asi_enter(asi)
{
#ifdef TARGET_AFTER_SWITCH
	if
	:: CURRENT == asi
	:: else -> switch_to(asi)
	fi;
	target[CPU] = asi
#else
#if FINE
	target[CPU] = asi; /* asi/asi.h: this_cpu(asi_target) = asi; */
#endif
	if
	:: atomic { CURRENT == asi -> target[CPU] = asi } /* asi/asi.h: if (likely(this_cpu(asi_curr) == asi)) */
	:: atomic { CURRENT != asi -> target[CPU] = asi };
		switch_to(asi) /* asi/asi.h: asi_switch(asi); */
	fi
#endif
}

/* asi/asi.h: static inline void asi_relax(void) */
inline asi_relax()
{
	target[CPU] = UNRESTRICTED /* asi/asi.h: this_cpu(asi_target) = NULL; */
}

/* asi/switch.c: void switch_exit(enum asi_cause cause) */
inline switch_exit()
{
	if
#if STUN
#ifdef STUN_AFTER_CR3
	:: atomic { CURRENT -> stun_publish() };
#else
	:: stun_leave(); /* asi/switch.c: stun_leave(); */
#endif
#else
	:: CURRENT -> /* asi/switch.c: if (this_cpu(asi_curr)) { */
#endif
		TOGETHER {
#if MITIGATIONS && !defined(HOOK_AFTER_CR3) || STUN
			mitigate_leave(); /* asi/switch.c: mitigate_leave(); */
#endif
#ifdef CURR_CLEARED_BEFORE_CR3
			STORE(CURR(CPU), UNRESTRICTED);
#endif
			load_unrestricted(); /* asi/switch.c: load_unrestricted(); */
#ifdef HOOK_AFTER_CR3
			mitigate_leave();
#endif
#ifndef CURR_CLEARED_BEFORE_CR3
			STORE(CURR(CPU), UNRESTRICTED) /* asi/switch.c: this_cpu(asi_curr) = NULL; */
#else
			skip
#endif
		}
#ifdef STUN_AFTER_CR3
		; stun_wait()
#endif
	:: else
	fi
}

/* asi/switch.c: void asi_intr_exit(void) */
inline asi_intr_exit()
{
	if
	:: target[CPU] && CURRENT != target[CPU] -> /* asi/switch.c: if (target && this_cpu(asi_curr) != target) { */
		switch_to(target[CPU]) /* asi/switch.c: switch_to(target); */
	:: else
	fi
}

/* asi/fault.c: bool fault_fixup(struct trap_frame *f, uint64_t cr2) */
inline fault_fixup()
{
	/* arch/x86/trap.c: uint64_t cr2 = read_cr2(); */
	atomic { NEVER(cr2_lost, cr2[CPU] != LEVEL); cr2[CPU] = 0 }
	if
	/* An NMI has left since the fault: no bug, asi/fault.c: left_meanwhile(cr2, f->error_code); */
	:: CURRENT == UNRESTRICTED -> /* asi/fault.c: if (!asi) */
#ifdef FAULT_NEEDS_CURR
		NEVER(fault_fatal, true)
#else
		skip
#endif
	:: else -> switch_exit() /* asi/fault.c: switch_exit(ASI_BY_FAULT); */
	fi;
	/* asi/fault.c: full = ptable_walk(hostmap_ptable(), cr2); */
	d_step { NEVER(exit_lost, cr3[CPU] != UNRESTRICTED) }
}

/* arch/x86/trap.c: if ((f->vector == VEC_NMI || f->vector == VEC_MC) && read_cr2() != cr2) */
inline restore_cr2()
{
#ifndef CR2_NOT_RESTORED
	atomic { cr2[CPU] = saved_cr2; saved_cr2 = 0 } /* arch/x86/trap.c: write_cr2(cr2); */
#else
	saved_cr2 = 0
#endif
}

/* An NMI handler as bad as can be: it may leave by a fault or by call, at each level. */
inline nmi()
{
	saved_cr2 = cr2[CPU]; /* arch/x86/trap.c: uint64_t cr2 = read_cr2(); */
	if
	:: skip
#if NMI_BY_FAULT
	:: LEVEL + 1 < LEVELS -> touch()
#endif
	:: true -> switch_exit()
	fi;
	restore_cr2()
}

/* Stays out until its return. */
inline machine_check()
{
	saved_cr2 = cr2[CPU]; /* arch/x86/trap.c: uint64_t cr2 = read_cr2(); */
#ifndef MC_STAYS
	switch_exit(); /* arch/x86/trap.c: trap_leave_restricted(); */
#endif
	/* arch/x86/trap.c: return mcheck_handle(); */
	atomic { NEVER(exit_lost, cr3[CPU] != UNRESTRICTED); mcip[CPU] = 0 } /* arch/x86/mcheck.c: wrmsr(MSR_MCG_STATUS, 0); */
	restore_cr2()
}

/* arch/x86/entry.S: trap_common: */
inline trap()
{
#ifdef DEPTH_AFTER_HANDLER
	dispatch();
	depth[CPU]++;
#else
#if FINE
	depth[CPU]++; /* arch/x86/entry.S: incl %gs:trap_depth */
#endif
	dispatch(); /* arch/x86/entry.S: call trap_dispatch */
#endif
#ifdef REENTER_BEFORE_DECREMENT
	if
	:: depth[CPU] == 1 -> asi_intr_exit()
	:: else
	fi;
	depth[CPU]--;
#elif defined(REENTER_AT_EVERY_RETURN)
	depth[CPU]--;
	asi_intr_exit();
#elif defined(NO_REENTER)
	depth[CPU]--;
#else
	if /* arch/x86/entry.S: jnz 1f */
	:: atomic { depth[CPU] > 1 -> depth[CPU]-- } /* arch/x86/entry.S: decl %gs:trap_depth */
	:: atomic { depth[CPU] == 1 -> depth[CPU]-- };
		asi_intr_exit() /* arch/x86/entry.S: call asi_intr_exit */
	fi;
#endif
	iret() /* arch/x86/entry.S: iretq */
}

/* Of the critical section, at each of its statements: depth is 0, what an NMI has left it has entered again. */
inline owes_nothing(asi)
{
	NEVER(flush_owed, held[CPU] & ~OF(asi));
	NEVER(branches_owed, trained[CPU] & ~OF(asi))
}

/* asi/asi.h: static inline void asi_check_entry(const struct asi *asi, uint64_t host_cr3) */
inline asi_check_entry(asi)
{
	atomic {
		owes_nothing(asi);
		NEVER(guest_unrestricted, CURRENT != asi || target[CPU] != asi || cr3[CPU] != host_cr3[CPU] ||
		      depth[CPU] || irqs[CPU]);
		NEVER(unclean_entry, MITIGATIONS && asi_clean[CPU] != asi); /* asi/asi.h: ASSERT(this_cpu(asi_clean) == asi); */
	}
}

/* vmm/run.c: static __always_inline bool enter_guest(struct vcpu *v, uint64_t now) */
inline enter_guest(asi)
{
	atomic { owes_nothing(asi); host_cr3[CPU] = asi_cr3[CPU] } /* vmm/run.c: vmcs_write(VMCS_HOST_CR3, cr3); */
	asi_check_entry(asi); /* vmm/run.c: asi_check_entry(v->asi, cr3); */
#ifdef TOUCH_IN_CRITICAL_SECTION
	touch();
#endif
#ifdef RELAX_BEFORE_GUEST
	asi_relax();
#endif
#ifdef CONTROL_TAINT_BEFORE_GUEST
	taint(GUEST_DATA | GUEST_CONTROL);
#endif
	atomic { /* vmm/run.c: vmx_run(v); */
		owes_nothing(asi);
		NEVER(guest_unrestricted, cr3[CPU] != asi || CURRENT != asi || depth[CPU] || irqs[CPU]);
		in_guest[CPU] = 1;
		trained[CPU] = trained[CPU] | OF(asi);
		RENEW_EVENTS
	}
progress:
	atomic {
		in_guest[CPU] = 0;
		write_cr3(host_cr3[CPU], false);
		left = 0
	}
#ifndef RELAX_BEFORE_GUEST
	atomic { owes_nothing(asi); asi_relax() } /* vmm/run.c: asi_relax(); */
#else
	skip
#endif
}

/* asi/switch.c: void asi_exit(void) */
inline asi_exit()
{
	switch_exit(); /* asi/switch.c: switch_exit(ASI_BY_CALL); */
	left = 1
}

/* The end of vmm/run.c: void vcpu_turns(struct vcpu *v) */
inline asi_exit_turns()
{
#ifndef NO_EXIT_AFTER_TURNS
	asi_exit() /* vmm/run.c: asi_exit(); */
#else
	skip
#endif
}

/* arch/x86/include/arch/insn.h: static inline void irq_window(void) */
inline irq_window()
{
	irqs[CPU] = 1;
	atomic { !kick[CPU] -> irqs[CPU] = 0 }
}
