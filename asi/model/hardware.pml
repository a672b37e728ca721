/* SPDX-License-Identifier: MIT */
/*
 * The processors: nested contexts, CR3, a TLB, store buffers, and what leaks.
 *
 * Each CPU has LEVELS contexts, one process each: level 0 is the vCPU loop, level n handles the event that
 * interrupted level n - 1. Only the CPU's innermost context runs, so an NMI lands between any two
 * statements of those below it.
 */
#define UNRESTRICTED 0 /* in cr3, curr and target: no domain */
#define A 1	       /* the domain whose memory is unmapped */
#define IDLE 3	       /* the domain that runs no guest */

#define CPU   (_pid / LEVELS)
#define LEVEL (_pid % LEVELS)
#define OTHER (1 - CPU)

/*
 * A property: what must never be true. pan names it: "assertion violated !(NAME)". With PROPERTY=IS_NAME
 * only that one is looked for. Deadlock is pan's "invalid end state", progress its "non-progress cycle".
 */
#ifndef PROPERTY
#define PROPERTY ANY
#endif
#define NEVER(name, what)                                                                      \
	name = (what) && (PROPERTY == ANY || PROPERTY == IS_nothing || PROPERTY == IS_##name); \
	assert(!(name))
#define ANY 0
#define IS_guest_unrestricted 1
#define IS_flush_owed 2
#define IS_branches_owed 3
#define IS_unclean_entry 4
#define IS_base_stack 5
#define IS_cr3_without_curr 6
#define IS_exit_lost 7
#define IS_endless_fault 8
#define IS_fault_fatal 9
#define IS_cr2_lost 10
#define IS_stale_translation 11
#define IS_generation_behind 12
#define IS_needless_kick 13
#define IS_sibling_exposed 14
#define IS_deadlock 15
#define IS_progress 16
#define IS_nothing 17 /* an order that is not needed: all must hold */

hidden byte guest_unrestricted;	/* a guest runs, or is to, and not all words and CR3 say its domain */
hidden byte flush_owed;		/* in the critical section or the guest, and this core holds what is not the domain's */
hidden byte branches_owed;	/* unrestricted, or in another's guest, with branches that a guest has trained */
hidden byte unclean_entry;	/* VM entry, and no hook has said that nothing is owed */
hidden byte base_stack;		/* restricted, back on the base stack */
hidden byte cr3_without_curr;	/* restricted, and curr is NULL */
hidden byte exit_lost;		/* a handler that has left faults again */
hidden byte endless_fault;	/* so does the critical section, whose handlers go back each time */
hidden byte fault_fatal;	/* a crossing is taken for a bug */
hidden byte cr2_lost;		/* a page fault's handler finds another's address */
hidden byte stale_translation;	/* a CPU reaches a page after its unmapping was complete */
hidden byte needless_kick;	/* a CPU that is not in the domain is interrupted for its sake */
hidden byte sibling_exposed;	/* a guest runs beside sensitive data: its sibling is unrestricted, or has left them */
hidden byte generation_behind;	/* VM entry with a generation that is not the latest: harmless, see docs/asi.md */

mtype = { NMI, IRQ, PF, MC };

byte running[CPUS];	       /* the innermost level */
mtype event[CPUS * LEVELS];    /* what each context handles */
bit saved_irqs[CPUS * LEVELS]; /* RFLAGS.IF in its frame */
bit irqs[CPUS], kick[CPUS]; /* interrupts are let in; one from another CPU is pending */
bit halted[CPUS];
byte depth[CPUS];
bit nmi_blocked[CPUS], mcip[CPUS]; /* a machine check while mcip is set would be a shutdown */
bit in_guest[CPUS];
byte cr3[CPUS];
byte host_cr3[CPUS]; /* the VMCS's field */
byte cr2[CPUS];	     /* 1 + the level that has faulted last */

/*
 * Truth about the core, unknown to the code, each a set of bits by space: whose data may be in its buffers;
 * whose guest has trained its branch predictors. What all may see is nobody's, and is all that IDLE maps.
 */
byte held[CPUS], trained[CPUS];
#define OF(space) (MITIGATIONS && (space) != IDLE -> 1 << (space) : 0)

/* The same of all threads of a core, which share an L1: whether any sensitive data are in it. */
#if STUN
bit core_sensitive = 1;
#define SENSITIVE_COMES_IN(space)                                                            \
	core_sensitive = core_sensitive || (space) == UNRESTRICTED;                          \
	NEVER(sibling_exposed, (space) == UNRESTRICTED && (in_guest[0] || in_guest[1] || in_guest[CPUS - 1]))
#define SENSITIVE_STAYS \
	core_sensitive = (cr3[0] == UNRESTRICTED || cr3[1] == UNRESTRICTED || cr3[CPUS - 1] == UNRESTRICTED)
#else
#define SENSITIVE_COMES_IN(space) skip
#define SENSITIVE_STAYS		  skip
#endif

#include "memory.pml"

/* MOV to CR3 serializes, so it drains the store buffer too. */
inline write_cr3(value, afresh)
{
	d_step {
		drain(CPU);
		cr3[CPU] = value;
		load_space(value, afresh);
		held[CPU] = held[CPU] | OF(value); /* from here on the core may load any */
		NEVER(branches_owed, value == UNRESTRICTED && trained[CPU]);
		SENSITIVE_COMES_IN(value)
	}
}

/* What the space in use maps comes in again at once. */
inline flush_data()
{
	d_step {
		held[CPU] = OF(cr3[CPU]);
		SENSITIVE_STAYS
	}
}

inline flush_control()
{
	d_step { trained[CPU] = 0 }
}

/*
 * The last statement of an atomic sequence: the context above takes over. @c and @level must not depend on
 * running[@c] on the left of an assignment: pan would undo it at the wrong index.
 */
inline deliver(c, level, what)
{
	event[(c) * LEVELS + level] = what;
	saved_irqs[(c) * LEVELS + level] = irqs[c];
	irqs[c] = 0;
	halted[c] = 0;
#if !FINE
	depth[c]++; /* arch/x86/entry.S: incl %gs:trap_depth */
#endif
	running[c] = level
}

/* Any IRET unblocks NMIs, a page fault's within an NMI too. */
inline iret()
{
	atomic {
		drain(CPU);
		nmi_blocked[CPU] = 0;
		irqs[CPU] = saved_irqs[_pid];
		saved_irqs[_pid] = 0;
		event[_pid] = 0;
		left = 0;
		running[CPU] = LEVEL - 1
	}
}

/*
 * An access to sensitive memory, retried until it succeeds. Who has left, by a fault or by
 * call, never faults again before its own end.
 */
inline touch()
{
	do
	:: atomic {
		cr3[CPU] != UNRESTRICTED && LEVEL + 1 < LEVELS ->
		NEVER(endless_fault, left && target[CPU]  && LEVEL == 0);
		NEVER(exit_lost, left);
		left = 1;
		cr2[CPU] = LEVEL + 1;
		deliver(CPU, LEVEL + 1, PF)
	   }
	:: atomic { cr3[CPU] == UNRESTRICTED -> break }
	od
}
