"""Faults that a boot has to see, for scripts/boot-faults: name, options of scripts/run for that boot, a regex for what it says, and
edits (file, text, new text). Without NMI torture or races, guests and self-test pass with most of them."""

TORTURE = ("--cmdline", "torture=on")
RACES = ("--cpus", "2", "--cmdline", "races=20000")
STALE = r'^@races .*"stale":[1-9]'
SHOOTDOWN = "asi/shootdown.c"
SWITCH = "asi/switch.c"
ENTRY = "arch/x86/entry.S"

FAULTS = [
    ("curr-cleared-before-cr3", TORTURE, r"restricted, but curr is NULL", (SWITCH, """\
		load_unrestricted();
""", """\
		this_cpu(asi_curr) = NULL;
		barrier();
		load_unrestricted();
""")),
    ("curr-set-after-cr3", TORTURE, r"restricted, but curr is NULL", (SWITCH, """\
	this_cpu_xchg(asi_curr, asi);
	load_restricted(asi);
""", """\
	load_restricted(asi);
	this_cpu_xchg(asi_curr, asi);
""")),
    ("target-set-after-switch", TORTURE, r"enter: .*not in the target's space|enter: .*", ("asi/asi.h", """\
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
    ("decrement-after-intr-exit", TORTURE, r"handler leaves, goes back: ", (ENTRY, """\
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
    ("inner-returns-go-back", TORTURE, r"a handler that left is not out|no progress", (ENTRY, """\
	decl %gs:trap_depth
	jnz 1f""", """\
	decl %gs:trap_depth""")),
    ("outermost-return-stays", TORTURE, r"enter: .*not in the target's space|torture: enter", (SWITCH, """\
	if (target && this_cpu(asi_curr) != target) {
		this_cpu(asi_stats).reenters++;""", """\
	if (target && this_cpu(asi_curr) != target && this_cpu(trap_depth)) {
		this_cpu(asi_stats).reenters++;""")),
    ("nmi-keeps-cr2", TORTURE, r"CR2 has changed", ("arch/x86/trap.c", """\
	if ((f->vector == VEC_NMI || f->vector == VEC_MC) && read_cr2() != cr2)
		write_cr2(cr2);""", """\
	if (f->vector == VEC_MC && read_cr2() != cr2)
		write_cr2(cr2);""")),
    ("left-meanwhile-is-fatal", TORTURE, r"trap 14 \(page fault\)", ("asi/fault.c", """\
		return switch_enabled() && !stuck &&""", """\
		return false && !stuck &&""")),
    ("flush-forgotten", TORTURE, r"a flush was forgotten", (SWITCH, """\
	bool keep = tlb_has_pcid() && (seen == gen || flush_range(asi, slot, seen, gen));""", """\
	bool keep = tlb_has_pcid() && (gen || flush_range(asi, slot, seen, gen));""")),
    ("generation-not-recorded", TORTURE, r"a flush is owed|flush", (SWITCH, """\
	this_cpu(asi_cr3_gen) = gen;
	this_cpu(asi_host_on) = 0;""", """\
	this_cpu(asi_host_on) = 0;""")),
    ("register-lost", TORTURE, r"registers", (ENTRY, """\
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
    ("exit-leaves-interrupts-off", TORTURE, r"the interrupt flag has changed", (SWITCH, """\
		this_cpu(asi_curr) = NULL;
	}
	irq_restore(flags);""", """\
		this_cpu(asi_curr) = NULL;
	}
	(void)flags;""")),
    ("nobody-waited-for", RACES, STALE, (SHOOTDOWN, """\
	while (waiting) {
		cpu_serve();""", """\
	waiting = 0;
	while (waiting) {
		cpu_serve();""")),
    ("one-generation-too-early", RACES, STALE, (SHOOTDOWN, "(seen >= gen ||", "(seen + 1 >= gen ||")),
    ("kick-not-answered-by-a-flush", RACES, STALE, (SWITCH, """\
		if (!flush_range(asi, i, this_cpu(asi_slots[i]).gen, gen)) {
			tlb_flush_pcid""", """\
		if (!gen) {
			tlb_flush_pcid""")),
]
