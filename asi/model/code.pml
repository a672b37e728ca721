/* SPDX-License-Identifier: MIT */
/*
 * The code, a statement for each of its statements. "FILE: TEXT" names the one it stands for, and
 * scripts/model sees that the file has that text. Lines marked (D) stand for code that is not there yet, the second
 * CPU's (issue D). Each #ifdef is a planted fault of faults.list.
 */
byte target[CPUS], depth[CPUS];
byte asi_cr3[CPUS], cr3_gen[CPUS], slot_gen[CPUS];
byte asi_taints[CPUS], asi_taints_of[CPUS], asi_clean[CPUS];
byte last_gen = 1;

/*
 * asi/switch.c: static bool flush_range(const struct asi *asi, uint32_t slot, uint64_t seen, uint64_t gen)
 * Its value is left in keep. A longer range than RANGE_MAX is like one that @seen lacks more of.
 */
inline flush_range()
{
#ifndef RANGE_READ_FIRST
	range = READ(RANGE); /* asi/switch.c: uint64_t va = READ_ONCE(asi->unmapped.va), len = READ_ONCE(asi->unmapped.len); */
#endif
	if
#ifdef KEPT_WHEN_TWO_BEHIND
	:: atomic { seen == 0 -> range = 0 }
#elif defined(SINCE_NOT_RECHECKED)
	:: atomic { since != seen -> range = 0 }
#else
	:: atomic { READ(SINCE) != seen -> range = 0 } /* asi/switch.c: if (READ_ONCE(asi->unmapped.since) != seen || len > RANGE_MAX || */
#endif
	:: else ->
		if
		:: atomic { READ(GEN) != gen -> range = 0 } /* asi/switch.c: READ_ONCE(asi->tlb_gen) != gen) */
		:: else -> d_step { drop(range); range = 0; keep = 1 } /* asi/switch.c: tlb_flush_pcid_page(pcid_of(slot), va + at); */
		fi
	fi
}

/* asi/switch.c: static void load_restricted(const struct asi *asi) */
inline load_restricted(asi)
{
#ifdef RANGE_READ_FIRST
	range = READ(RANGE);
#endif
#ifdef SINCE_NOT_RECHECKED
	since = READ(SINCE);
#endif
	gen = READ(GEN); /* asi/switch.c: gen = READ_ONCE(asi->tlb_gen); */
	/* asi/switch.c: bool keep = tlb_has_pcid() && (seen == gen || flush_range(asi, slot, seen, gen)); */
	d_step { seen = slot_gen[CPU]; keep = (seen == gen) }; /* asi/switch.c: seen = this_cpu(asi_slots[slot]).gen; */
#ifdef GEN_RECORDED_BEFORE_FLUSH
	slot_gen[CPU] = gen;
#endif
	if
	:: atomic { keep -> write_cr3(asi, false) }
	:: else ->
#ifdef DROPPED_AFTER_CR3
		keep = 1;
#else
		flush_range();
#endif
#ifdef NEVER_FLUSHED_ON_ENTER
		keep = 1;
#endif
		write_cr3(asi, !keep) /* asi/switch.c: write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0)); */
	fi;
#ifdef DROPPED_AFTER_CR3
	flush_range();
	write_cr3(asi, !keep);
#endif
#ifdef GEN_READ_AFTER_FLUSH
	gen = READ(GEN);
#endif
	d_step { slot_gen[CPU] = gen; seen = 0; keep = 0 } /* asi/switch.c: this_cpu(asi_slots[slot]).gen = gen; */
	d_step {
		asi_cr3[CPU] = asi; /* asi/switch.c: this_cpu(asi_cr3) = cr3; */
		cr3_gen[CPU] = gen; /* asi/switch.c: this_cpu(asi_cr3_gen) = gen; */
		gen = 0
	}
}

/* enum taint of asi/mitigate.h, and the flushes that its table names. */
#define SENSITIVE     1
#define GUEST_DATA    2
#define GUEST_CONTROL 4
#define OTHER_DATA    8
#define OTHER_CONTROL 16
#define DATA	      1
#define CONTROL	      2

/* asi/mitigate.c: [TAINT_SENSITIVE_DATA] = DATA, */
#ifdef OTHER_DATA_FORGOTTEN
#define DATA_OWED SENSITIVE
#else
#define DATA_OWED (SENSITIVE | OTHER_DATA) /* asi/mitigate.c: [TAINT_OTHER_DATA] = DATA, */
#endif
/* asi/mitigate.c: [TAINT_OTHER_CONTROL] = CONTROL, */
#ifdef OTHER_CONTROL_FORGOTTEN
#define TO_GUEST(set) ((set) & DATA_OWED -> DATA : 0)
#else
#define TO_GUEST(set) (((set) & DATA_OWED -> DATA : 0) | ((set) & OTHER_CONTROL -> CONTROL : 0))
#endif
/* asi/mitigate.c: [TAINT_GUEST_CONTROL] = CONTROL, */
#define TO_UNRESTRICTED(set) ((set) & (GUEST_CONTROL | OTHER_CONTROL) -> CONTROL : 0)

/* asi/mitigate.c: return (t & ~guest) | (t & guest) << (TAINT_OTHER_DATA - TAINT_GUEST_DATA); */
#define SEEN_BY(asi, t) (asi_taints_of[CPU] == asi -> (t) : (t) & SENSITIVE | ((t) & (GUEST_DATA | GUEST_CONTROL)) << 2)

/* Setting and clearing a taint is a load and a store, for the compiler too: an NMI may come in between. */
inline taint(set)
{
	taints = asi_taints[CPU];
	d_step { asi_taints[CPU] = taints | (set); taints = 0 } /* asi/mitigate.c: this_cpu(asi_taints) |= set & mitigate_policy.tracked; */
}

inline untaint(set)
{
	taints = asi_taints[CPU];
	d_step { asi_taints[CPU] = taints & ~(set); taints = 0 }
}

/* arch/x86/mitigation.c: void mitigation_flush(unsigned int flushes) */
inline flush()
{
	if
	:: flushes & CONTROL -> flush_control() /* arch/x86/mitigation.c: if (flushes & FLUSH_IBPB) */
	:: else
	fi;
	if
	:: flushes & DATA -> flush_data() /* arch/x86/mitigation.c: if (flushes & FLUSH_L1D) */
	:: else
	fi;
	flushes = 0
}

/* asi/mitigate.c: void mitigate_enter(struct asi *asi) */
inline mitigate_enter(asi)
{
	if
#ifdef IDLE_CLEARS_TAINT
	:: asi == IDLE -> untaint(SENSITIVE)
#else
	:: asi == IDLE /* asi/mitigate.c: if (!asi_runs_guest(asi)) */
#endif
	:: else ->
#ifdef DATA_CLEARED_BEFORE_OWED
		untaint(SENSITIVE);
#endif
#ifdef OWNER_BEFORE_OWED
		asi_taints_of[CPU] = asi;
#endif
		taints = asi_taints[CPU]; /* asi/mitigate.c: uint32_t t = this_cpu(asi_taints); */
		d_step { flushes = TO_GUEST(SEEN_BY(asi, taints)); taints = 0 }; /* asi/mitigate.c: flushes = owed(TO_GUEST, seen_by(asi)); */
#ifdef CLEAN_BEFORE_FLUSH
		asi_clean[CPU] = asi;
#endif
#ifdef OWNER_BEFORE_FLUSH
		asi_taints_of[CPU] = asi;
		taint(GUEST_DATA | GUEST_CONTROL);
#endif
#if !defined(DATA_CLEARED_BEFORE_OWED) && !defined(DATA_CLEARED_AFTER_FLUSH)
		untaint(SENSITIVE); /* asi/mitigate.c: this_cpu(asi_taints) &= ~(uint32_t)BIT(TAINT_SENSITIVE_DATA); */
#endif
#ifndef NO_FLUSH
		flush(); /* asi/mitigate.c: flush(flushes); */
#endif
#ifdef DATA_CLEARED_AFTER_FLUSH
		untaint(SENSITIVE);
#endif
#if !defined(OWNER_BEFORE_OWED) && !defined(OWNER_BEFORE_FLUSH)
		asi_taints_of[CPU] = asi; /* before several CPUs: this_cpu(asi_taints_of) = asi; */
#endif
#if !defined(CONTROL_TAINT_BEFORE_GUEST) && !defined(OWNER_BEFORE_FLUSH)
		taint(GUEST_DATA | GUEST_CONTROL); /* asi/mitigate.c: taint(BIT(TAINT_GUEST_DATA) | BIT(TAINT_GUEST_CONTROL)); */
#endif
#ifndef CLEAN_BEFORE_FLUSH
		asi_clean[CPU] = asi /* asi/mitigate.c: this_cpu(asi_clean) = asi; */
#else
		skip
#endif
	fi
}

/* asi/mitigate.c: void mitigate_leave(void) */
inline mitigate_leave()
{
#ifndef CLEAN_ENDED_LAST
	asi_clean[CPU] = UNRESTRICTED; /* asi/mitigate.c: this_cpu(asi_clean) = NULL; */
#endif
#ifdef CONTROL_CLEARED_BEFORE_OWED
	untaint(GUEST_CONTROL);
#endif
	flushes = TO_UNRESTRICTED(asi_taints[CPU]);
#ifdef CONTROL_CLEARED_BEFORE_FLUSH
	untaint(GUEST_CONTROL);
#endif
#ifndef NO_IBPB
	flush(); /* asi/mitigate.c: flush(owed(TO_UNRESTRICTED, this_cpu(asi_taints))); */
#endif
#ifdef DATA_TAINT_FIRST
	taint(SENSITIVE);
#endif
#if !defined(CONTROL_CLEARED_BEFORE_OWED) && !defined(CONTROL_CLEARED_BEFORE_FLUSH)
	untaint(GUEST_CONTROL); /* asi/mitigate.c: this_cpu(asi_taints) &= ~(uint32_t)BIT(TAINT_GUEST_CONTROL); */
#endif
#ifdef TAINT_TOGGLED
	taints = asi_taints[CPU];
	d_step { asi_taints[CPU] = taints ^ SENSITIVE; taints = 0 }
#elif !defined(NO_DATA_TAINT) && !defined(DATA_TAINT_FIRST)
	taint(SENSITIVE) /* asi/mitigate.c: taint(BIT(TAINT_SENSITIVE_DATA)); */
#else
	skip
#endif
#ifdef CLEAN_ENDED_LAST
	; asi_clean[CPU] = UNRESTRICTED
#endif
}

/* asi/switch.c: static void switch_to(struct asi *asi) */
inline switch_to(asi)
{
#ifndef CURR_AFTER_CR3
	curr[CPU] = asi; /* before several CPUs: this_cpu(asi_curr) = asi; */
#endif
#if MITIGATIONS && defined(FLUSH_BEFORE_CR3)
	mitigate_enter(asi);
#endif
#ifndef NO_FENCE_IN_ENTER
	d_step { drain(CPU) } /* before several CPUs: memory_fence(); */
#endif
	load_restricted(asi) /* asi/switch.c: load_restricted(asi); */
#ifdef CURR_AFTER_CR3
	; curr[CPU] = asi
#endif
#if MITIGATIONS && !defined(FLUSH_BEFORE_CR3) && !defined(NO_HOOK)
	; mitigate_enter(asi) /* asi/switch.c: mitigate_enter(asi); */
#endif
}

/* asi/asi.h: static inline bool asi_enter(struct asi *asi) */
inline asi_enter(asi)
{
#ifndef TARGET_AFTER_SWITCH
	target[CPU] = asi; /* asi/asi.h: this_cpu(asi_target) = asi; */
#endif
	if
	:: curr[CPU] == asi /* asi/asi.h: if (likely(this_cpu(asi_curr) == asi)) */
	:: else -> switch_to(asi) /* asi/asi.h: asi_switch(asi); */
	fi
#ifdef TARGET_AFTER_SWITCH
	; target[CPU] = asi
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
	:: curr[CPU] -> /* asi/switch.c: if (this_cpu(asi_curr)) { */
#if MITIGATIONS && !defined(HOOK_AFTER_CR3)
		mitigate_leave(); /* asi/switch.c: mitigate_leave(); */
#endif
#ifdef CURR_CLEARED_BEFORE_CR3
		curr[CPU] = UNRESTRICTED;
#endif
		write_cr3(UNRESTRICTED, false); /* before several CPUs: write_cr3(this_cpu(asi_unrestricted_cr3) | (tlb_has_pcid() ? CR3_NOFLUSH : 0)); */
#ifdef HOOK_AFTER_CR3
		mitigate_leave();
#endif
		asi_cr3[CPU] = UNRESTRICTED; /* before several CPUs: this_cpu(asi_cr3) = this_cpu(asi_unrestricted_cr3); */
#ifndef CURR_CLEARED_BEFORE_CR3
		curr[CPU] = UNRESTRICTED /* asi/switch.c: this_cpu(asi_curr) = NULL; */
#else
		skip
#endif
	:: else
	fi
}

/* asi/switch.c: void asi_intr_exit(void) */
inline asi_intr_exit()
{
	if
	:: target[CPU] && curr[CPU] != target[CPU] -> /* asi/switch.c: if (target && this_cpu(asi_curr) != target) { */
		switch_to(target[CPU]) /* asi/switch.c: switch_to(target); */
	:: else
	fi
}

/*
 * before several CPUs: void asi_flush_local(struct asi *asi, uint64_t va, uint64_t len)
 * of this CPU's page. Today's function ends with the flush here; the IPI, its acknowledgement and the
 * wait, during which interrupts are let in, are (D).
 */
inline unmap_and_flush()
{
#ifndef UNMAPPED_AFTER_GEN
	mapped[CPU] = 0; /* the entry in the domain's tables: whoever calls has done it */
#endif
#ifdef GEN_AFTER_CURR_TEST
	other = seen_curr[OTHER];
#endif
	atomic {
		holder == 0 -> /* before several CPUs: flags = spin_lock(&asi->lock); */
		drain(CPU);
		holder = CPU + 1;
		last_gen++; /* before several CPUs: gen = switch_next_gen(); */
		gen = last_gen
	}
#if !defined(SINCE_AFTER_RANGE) && !defined(SINCE_NOT_ADVANCED)
	STORE(SINCE, READ(GEN)); /* before several CPUs: WRITE_ONCE(asi->unmapped.since, asi->tlb_gen); */
#endif
#ifdef GEN_BEFORE_RANGE
	STORE(GEN, gen);
#endif
	STORE(RANGE, CPU); /* before several CPUs: WRITE_ONCE(asi->unmapped.va, va); WRITE_ONCE(asi->unmapped.len, len); */
#ifdef SINCE_AFTER_RANGE
	STORE(SINCE, READ(GEN));
#endif
#if !defined(NO_GEN) && !defined(GEN_BEFORE_RANGE)
	STORE(GEN, gen); /* before several CPUs: WRITE_ONCE(asi->tlb_gen, gen); */
#endif
	STORE(RELEASE, 1); /* before several CPUs: spin_unlock(&asi->lock, flags); */
#ifdef UNMAPPED_AFTER_GEN
	mapped[CPU] = 0;
#endif
#ifndef NO_FENCE_IN_FLUSH
	d_step { drain(CPU) } /* before several CPUs: memory_fence(); */
#endif
	if
	:: curr[CPU] != A -> gen = 0 /* before several CPUs: if (this_cpu(asi_curr) != asi) */
	:: else ->
#ifndef NO_LOCAL_FLUSH
		seen = slot_gen[CPU];
#ifdef SINCE_NOT_RECHECKED
		since = READ(SINCE);
#endif
		flush_range(); /* asi/switch.c: if (!flush_range(asi, i, this_cpu(asi_slots[i]).gen, gen)) { */
		if
		:: keep
		:: else -> d_step { drain(CPU); flush_tlb() } /* asi/switch.c: tlb_flush_pcid(pcid_of(i)); */
		fi;
#endif
		d_step { slot_gen[CPU] = gen; cr3_gen[CPU] = gen; gen = 0; seen = 0; keep = 0 } /* asi/switch.c: this_cpu(asi_slots[i]).gen = this_cpu(asi_cr3_gen) = gen; */
	fi;
#ifndef GEN_AFTER_CURR_TEST
	other = seen_curr[OTHER]; /* (D) */
#endif
	if
	:: other == A ->
		d_step { acked[OTHER] = 0; ipi[OTHER] = 1 }; /* (D) */
#ifndef NO_WAIT
#ifndef WAIT_WITH_IRQS_OFF
		irqs[CPU] = 1; /* (D) */
#endif
		acked[OTHER]; /* (D) */
		irqs[CPU] = 0 /* (D) */
#else
		skip
#endif
	:: else
	fi;
	d_step { other = 0; reused[CPU] = 1 }
}

/* (D) What the flusher's IPI runs. The generation is read before the flush, as in load_restricted(). */
inline flush_ipi()
{
#ifdef ACK_BEFORE_FLUSH
	acked[CPU] = 1;
#endif
	gen = READ(GEN);
	if
	:: slot_gen[CPU] == gen -> gen = 0
	:: else ->
		d_step { drain(CPU); flush_tlb() };
		d_step { slot_gen[CPU] = gen; cr3_gen[CPU] = gen; gen = 0 }
	fi
#ifndef ACK_BEFORE_FLUSH
	; acked[CPU] = 1
#endif
}

/* asi/fault.c: bool fault_fixup(struct trap_frame *f, uint64_t cr2) */
inline fault_fixup()
{
	/* arch/x86/trap.c: uint64_t cr2 = read_cr2(); */
	atomic { NEVER(cr2_lost, cr2[CPU] != LEVEL); cr2[CPU] = 0 }
	if
	/* An NMI has left since the fault: no bug, asi/fault.c: left_meanwhile(cr2, f->error_code); */
	:: curr[CPU] == UNRESTRICTED -> /* asi/fault.c: if (!asi) */
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
	depth[CPU]++; /* arch/x86/entry.S: incl %gs:trap_depth */
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
		NEVER(guest_unrestricted, curr[CPU] != asi || target[CPU] != asi || cr3[CPU] != host_cr3[CPU] ||
		      depth[CPU] || irqs[CPU]);
		NEVER(unclean_entry, MITIGATIONS && asi_clean[CPU] != asi); /* asi/asi.h: ASSERT(this_cpu(asi_clean) == asi); */
#ifdef ENTRY_AT_LATEST_GEN
		NEVER(generation_behind, cr3_gen[CPU] != GEN) /* before several CPUs: ASSERT(this_cpu(asi_cr3_gen) == asi->tlb_gen); */
#endif
	}
}

/* before several CPUs: static __always_inline void enter_guest(struct vcpu *v, uint64_t now) */
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
		NEVER(guest_unrestricted, cr3[CPU] != asi || curr[CPU] != asi || depth[CPU] || irqs[CPU]);
		in_guest[CPU] = 1;
		trained[CPU] = trained[CPU] | OF(asi)
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
	irqs[CPU] = 0
}
