/* SPDX-License-Identifier: MIT */
/*
 * The code, a statement for each of its statements. "FILE: TEXT" names the one it stands for, and
 * scripts/model sees that the file has that text. Lines marked (C) and (D) stand for code that is not there
 * yet: mitigations (issue C), the second CPU (issue D). Each #ifdef is a planted fault of faults.list.
 */
byte target[CPUS], depth[CPUS];
byte asi_cr3[CPUS], cr3_gen[CPUS], slot_gen[CPUS];
bit taint_data[CPUS] = 1, taint_control[CPUS];
byte last_gen = 1;

/* asi/switch.c: static void load_restricted(const struct asi *asi) */
inline load_restricted(asi)
{
#ifndef GEN_READ_AFTER_FLUSH
	gen = GEN; /* asi/switch.c: gen = READ_ONCE(asi->tlb_gen); */
#endif
#ifdef GEN_RECORDED_BEFORE_FLUSH
	if
	:: slot_gen[CPU] == gen -> write_cr3(asi, false)
	:: else -> slot_gen[CPU] = gen; write_cr3(asi, true)
	fi;
#elif defined(NEVER_FLUSHED_ON_ENTER)
	write_cr3(asi, false);
	slot_gen[CPU] = gen;
#elif defined(GEN_READ_AFTER_FLUSH)
	if
	:: slot_gen[CPU] == GEN -> write_cr3(asi, false); gen = slot_gen[CPU]
	:: else -> write_cr3(asi, true); gen = GEN; slot_gen[CPU] = gen
	fi;
#else
	if
	:: slot_gen[CPU] == gen -> /* asi/switch.c: if (tlb_has_pcid() && this_cpu(asi_slots[slot]).gen == gen) { */
		write_cr3(asi, false) /* asi/switch.c: write_cr3(cr3 | CR3_NOFLUSH); */
	:: else ->
		write_cr3(asi, true); /* asi/switch.c: write_cr3(cr3); */
		slot_gen[CPU] = gen /* asi/switch.c: this_cpu(asi_slots[slot]).gen = gen; */
	fi;
#endif
	asi_cr3[CPU] = asi; /* asi/switch.c: this_cpu(asi_cr3) = cr3; */
	d_step { cr3_gen[CPU] = gen; gen = 0 } /* asi/switch.c: this_cpu(asi_cr3_gen) = gen; */
}

/*
 * (C) The hook on the way in. The guest may run from here on, so its taint is set here and not before
 * VM entry: an NMI that leaves clears it, and its return comes through here again.
 */
inline post_enter()
{
#ifndef CONTROL_TAINT_BEFORE_GUEST
	taint_control[CPU] = 1;
#endif
#ifndef NO_FLUSH
	if
	:: taint_data[CPU] ->
#ifdef TAINT_TOGGLED
		taint_data[CPU] = !taint_data[CPU];
		flush_buffers()
#else
		flush_buffers();
		taint_data[CPU] = 0
#endif
	:: else
	fi
#endif
}

/* asi/switch.c: static void switch_to(struct asi *asi) */
inline switch_to(asi)
{
#ifndef CURR_AFTER_CR3
	curr[CPU] = asi; /* asi/switch.c: this_cpu(asi_curr) = asi; */
#endif
#if MITIGATIONS && defined(FLUSH_BEFORE_CR3)
	post_enter();
#endif
#ifndef NO_FENCE_IN_ENTER
	d_step { drain(CPU) } /* asi/switch.c: memory_fence(); */
#endif
	load_restricted(asi) /* asi/switch.c: load_restricted(asi); */
#ifdef CURR_AFTER_CR3
	; curr[CPU] = asi
#endif
#if MITIGATIONS && !defined(FLUSH_BEFORE_CR3)
	; post_enter()
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

/* (C) The hook on the way out. */
inline pre_exit()
{
#ifndef NO_IBPB
	if
	:: taint_control[CPU] ->
		ibpb();
		taint_control[CPU] = 0
	:: else
	fi;
#endif
#ifndef DATA_TAINT_AFTER_CR3
	taint_data[CPU] = 1
#else
	skip
#endif
}

/* asi/switch.c: void switch_exit(enum asi_cause cause) */
inline switch_exit()
{
	if
	:: curr[CPU] -> /* asi/switch.c: if (this_cpu(asi_curr)) { */
#if MITIGATIONS && !defined(IBPB_AFTER_CR3)
		pre_exit();
#endif
#ifdef CURR_CLEARED_BEFORE_CR3
		curr[CPU] = UNRESTRICTED;
#endif
		write_cr3(UNRESTRICTED, false); /* asi/switch.c: write_cr3(this_cpu(asi_unrestricted_cr3) | (tlb_has_pcid() ? CR3_NOFLUSH : 0)); */
#ifdef IBPB_AFTER_CR3
		pre_exit();
#endif
#ifdef DATA_TAINT_AFTER_CR3
		taint_data[CPU] = 1;
#endif
		asi_cr3[CPU] = UNRESTRICTED; /* asi/switch.c: this_cpu(asi_cr3) = this_cpu(asi_unrestricted_cr3); */
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
 * asi/switch.c: void asi_flush_local(struct asi *asi)
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
	atomic { drain(CPU); last_gen++; gen = last_gen } /* asi/switch.c: uint64_t gen = switch_next_gen(); */
#ifndef NO_GEN
	gen_buffered[CPU] = gen; /* asi/switch.c: WRITE_ONCE(asi->tlb_gen, gen); */
#endif
#ifdef UNMAPPED_AFTER_GEN
	mapped[CPU] = 0;
#endif
#ifndef NO_FENCE_IN_FLUSH
	d_step { drain(CPU) } /* asi/switch.c: memory_fence(); */
#endif
	if
	:: curr[CPU] != A -> gen = 0 /* asi/switch.c: if (this_cpu(asi_curr) != asi) */
	:: else ->
#ifndef NO_LOCAL_FLUSH
		d_step { drain(CPU); flush_tlb() } /* asi/switch.c: tlb_flush_pcid(tlb_has_pcid() ? i + 1 : 0); */
#endif
		d_step { slot_gen[CPU] = gen; cr3_gen[CPU] = gen; gen = 0 } /* asi/switch.c: this_cpu(asi_slots[i]).gen = this_cpu(asi_cr3_gen) = gen; */
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
	gen = GEN;
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

/* asi/fault.c: bool fault_fixup(const struct trap_frame *f, uint64_t cr2) */
inline fault_fixup()
{
	/* arch/x86/trap.c: uint64_t cr2 = read_cr2(); */
	atomic { NEVER(cr2_lost, cr2[CPU] != LEVEL); cr2[CPU] = 0 }
	/* From the fault to here an NMI may have left: curr NULL is no bug yet, the walk decides. */
#ifdef FAULT_NEEDS_CURR
	NEVER(fault_fatal, curr[CPU] == UNRESTRICTED);
#endif
	switch_exit(); /* asi/fault.c: switch_exit(ASI_BY_FAULT); */
	/* asi/fault.c: full = ptable_walk(hostmap_ptable(), cr2); */
	d_step { NEVER(exit_lost, cr3[CPU] != UNRESTRICTED) }
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
	:: true -> switch_exit() /* arch/x86/trap.c: trap_leave_restricted(); */
	fi;
#ifndef CR2_NOT_RESTORED
	atomic { cr2[CPU] = saved_cr2; saved_cr2 = 0 } /* arch/x86/trap.c: write_cr2(cr2); */
#else
	saved_cr2 = 0
#endif
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
inline owes_nothing()
{
	NEVER(flush_owed, MITIGATIONS && (taint_data[CPU] || secrets[CPU]))
}

/* asi/asi.h: static inline void asi_check_entry(const struct asi *asi, uint64_t host_cr3) */
inline asi_check_entry(asi)
{
	atomic {
		owes_nothing();
		NEVER(guest_unrestricted, curr[CPU] != asi || target[CPU] != asi || cr3[CPU] != host_cr3[CPU] ||
		      depth[CPU] || irqs[CPU]);
#ifdef ENTRY_AT_LATEST_GEN
		NEVER(generation_behind, cr3_gen[CPU] != GEN) /* asi/asi.h: ASSERT(this_cpu(asi_cr3_gen) == asi->tlb_gen); */
#endif
	}
}

/* vmm/run.c: static __always_inline void enter_guest(struct vcpu *v, uint64_t now) */
inline enter_guest(asi)
{
	atomic { owes_nothing(); host_cr3[CPU] = asi_cr3[CPU] } /* vmm/run.c: vmcs_write(VMCS_HOST_CR3, cr3); */
	asi_check_entry(asi); /* vmm/run.c: asi_check_entry(v->asi, cr3); */
#ifdef TOUCH_IN_CRITICAL_SECTION
	touch();
#endif
#ifdef RELAX_BEFORE_GUEST
	asi_relax();
#endif
#ifdef CONTROL_TAINT_BEFORE_GUEST
	taint_control[CPU] = 1;
#endif
	atomic { /* vmm/run.c: vmx_run(v); */
		owes_nothing();
		NEVER(guest_unrestricted, cr3[CPU] != asi || curr[CPU] != asi || depth[CPU] || irqs[CPU]);
		in_guest[CPU] = 1;
		trained[CPU] = MITIGATIONS
	}
progress:
	atomic {
		in_guest[CPU] = 0;
		write_cr3(host_cr3[CPU], false);
		left = 0
	}
#ifndef RELAX_BEFORE_GUEST
	atomic { owes_nothing(); asi_relax() } /* vmm/run.c: asi_relax(); */
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

/* arch/x86/include/arch/insn.h: static inline void irq_window(void) */
inline irq_window()
{
	irqs[CPU] = 1;
	irqs[CPU] = 0
}
