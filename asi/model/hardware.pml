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
#define NEVER(name, what)                                            \
	name = (what) && (PROPERTY == ANY || PROPERTY == IS_##name); \
	assert(!(name))
#define ANY 0
#define IS_guest_unrestricted 1
#define IS_flush_owed 2
#define IS_branches_owed 3
#define IS_untainted 4
#define IS_cr3_without_curr 5
#define IS_exit_lost 6
#define IS_endless_fault 7
#define IS_fault_fatal 8
#define IS_cr2_lost 9
#define IS_stale_translation 10
#define IS_generation_behind 11
#define IS_deadlock 12
#define IS_progress 13

hidden byte guest_unrestricted; /* a guest runs, or is to, and not all words and CR3 say its domain */
hidden byte flush_owed;		/* in the critical section or the guest, and this core's buffers hold secrets */
hidden byte branches_owed;	/* unrestricted with branches that a guest has trained */
hidden byte untainted;		/* unrestricted, and no taint says so */
hidden byte cr3_without_curr;	/* restricted, and curr is NULL */
hidden byte exit_lost;		/* a handler that has left faults again */
hidden byte endless_fault;	/* so does the critical section, whose handlers go back each time */
hidden byte fault_fatal;	/* a crossing is taken for a bug */
hidden byte cr2_lost;		/* a page fault's handler finds another's address */
hidden byte stale_translation;	/* a CPU reaches a page after its unmapping was complete */
hidden byte generation_behind;	/* VM entry with a generation that is not the latest: harmless, see docs/asi.md */

mtype = { NMI, IRQ, PF };

byte running[CPUS];	       /* the innermost level */
mtype event[CPUS * LEVELS];    /* what each context handles */
bit saved_irqs[CPUS * LEVELS]; /* RFLAGS.IF in its frame */
bit irqs[CPUS];
bit nmi_blocked[CPUS];
bit in_guest[CPUS];
byte cr3[CPUS];
byte host_cr3[CPUS]; /* the VMCS's field */
byte cr2[CPUS];	     /* 1 + the level that has faulted last */

/* Truth about the core, unknown to the code: secrets in its buffers; branches that the guest has trained. */
bit secrets[CPUS], trained[CPUS];

/*
 * Memory that both CPUs read and write passes a store buffer with an entry for each variable: seen_* is what
 * the other CPU reads. This is weaker than x86, which keeps the order of different stores too; the code
 * relies on that nowhere.
 */
byte curr[CPUS], seen_curr[CPUS];
byte gen_buffered[CPUS]; /* 0: nothing */
byte seen_gen = 1;
#define GEN (gen_buffered[CPU] -> gen_buffered[CPU] : seen_gen)

inline drain(c)
{
	seen_curr[c] = curr[c];
	if
	:: gen_buffered[c] -> seen_gen = gen_buffered[c]; gen_buffered[c] = 0
	:: else
	fi
}

/* A page of domain A for each CPU to unmap; the domain's entry and each CPU's copy of it in the PCID of A. */
bit mapped[CPUS] = 1, tlb[CPUS * CPUS];
bit reused[CPUS]; /* its unmapper was told that no CPU can reach it any more */
#define TLB(c, page) tlb[(c) * CPUS + (page)]

inline flush_tlb()
{
	TLB(CPU, 0) = 0;
	TLB(CPU, CPUS - 1) = 0
}

/* MOV to CR3 serializes, so it drains the store buffer too. */
inline write_cr3(value, flush)
{
	d_step {
		drain(CPU);
		if
		:: flush -> flush_tlb()
		:: else
		fi;
		cr3[CPU] = value;
		if
		:: value == UNRESTRICTED ->
			secrets[CPU] = MITIGATIONS; /* from here on the core may load any */
			NEVER(branches_owed, trained[CPU])
		:: else
		fi
	}
}

/* Of no lasting use while everything is mapped. */
inline flush_buffers()
{
	d_step { secrets[CPU] = (cr3[CPU] == UNRESTRICTED) }
}

inline ibpb()
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
	running[c] = level
}

/* Any IRET unblocks NMIs, a page fault's within an NMI too. */
inline iret()
{
	atomic {
		drain(CPU);
		nmi_blocked[CPU] = 0;
		irqs[CPU] = saved_irqs[_pid];
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
