"""Faults that NMI torture has to see, for scripts/torture-faults: name, the scenario that sees it (a regex
for what it says), and edits (file, text, new text). Without torture, guests and self-test pass with most of them."""

SWITCH = "asi/switch.c"
ENTRY = "arch/x86/entry.S"

FAULTS = [
    ("curr-cleared-before-cr3", r"restricted, but curr is NULL", (SWITCH, """\
		/* Nothing unmaps in the unrestricted space""", """\
		this_cpu(asi_curr) = NULL;
		barrier();
		/* Nothing unmaps in the unrestricted space""")),
    ("curr-set-after-cr3", r"restricted, but curr is NULL", (SWITCH, """\
	this_cpu(asi_curr) = asi;
	/*
	 * Pairs""", """\
	/*
	 * Pairs"""), (SWITCH, """\
	load_restricted(asi);
	mitigate_enter(asi);
}""", """\
	load_restricted(asi);
	barrier();
	this_cpu(asi_curr) = asi;
	mitigate_enter(asi);
}""")),
    ("target-set-after-switch", r"enter: .*not in the target's space|enter: .*", ("asi/asi.h", """\
	this_cpu(asi_target) = asi;
	barrier();
	if (likely(this_cpu(asi_curr) == asi))
		return true;
	asi_switch(asi);
	return false;""", """\
	if (likely(this_cpu(asi_curr) == asi)) {
		this_cpu(asi_target) = asi;
		return true;
	}
	asi_switch(asi);
	this_cpu(asi_target) = asi;
	return false;""")),
    ("decrement-after-intr-exit", r"handler leaves, goes back: ", (ENTRY, """\
	decl %gs:trap_depth
	jnz 1f
	andq $-16, %rsp
	call asi_intr_exit
	movq %rbp, %rsp
1:	popq %r15""", """\
	cmpl $1, %gs:trap_depth
	jne 1f
	andq $-16, %rsp
	call asi_intr_exit
	movq %rbp, %rsp
1:	decl %gs:trap_depth
	popq %r15""")),
    ("inner-returns-go-back", r"a handler that left is not out|no progress", (ENTRY, """\
	decl %gs:trap_depth
	jnz 1f""", """\
	decl %gs:trap_depth""")),
    ("outermost-return-stays", r"enter: .*not in the target's space|torture: enter", (SWITCH, """\
	if (target && this_cpu(asi_curr) != target) {
		this_cpu(asi_stats).reenters++;""", """\
	if (target && this_cpu(asi_curr) != target && this_cpu(trap_depth)) {
		this_cpu(asi_stats).reenters++;""")),
    ("nmi-keeps-cr2", r"CR2 has changed", ("arch/x86/trap.c", """\
	if ((f->vector == VEC_NMI || f->vector == VEC_MC) && read_cr2() != cr2)
		write_cr2(cr2);""", """\
	if (f->vector == VEC_MC && read_cr2() != cr2)
		write_cr2(cr2);""")),
    ("left-meanwhile-is-fatal", r"trap 14 \(page fault\)", ("asi/fault.c", """\
		return switch_enabled() && !stuck &&""", """\
		return false && !stuck &&""")),
    ("flush-forgotten", r"a flush was forgotten", (SWITCH, """\
	bool keep = tlb_has_pcid() && (seen == gen || flush_range(asi, slot, seen, gen));""", """\
	bool keep = tlb_has_pcid() && (gen || flush_range(asi, slot, seen, gen));""")),
    ("generation-not-recorded", r"a flush is owed|flush", (SWITCH, """\
	this_cpu(asi_cr3_gen) = gen;
}""", """\
}""")),
    ("register-lost", r"registers", (ENTRY, """\
1:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
""", """\
1:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	addq $8, %rsp
""")),
    ("exit-leaves-interrupts-off", r"the interrupt flag has changed", (SWITCH, """\
		this_cpu(asi_curr) = NULL;
	}
	irq_restore(flags);""", """\
		this_cpu(asi_curr) = NULL;
	}
	(void)flags;""")),
]
