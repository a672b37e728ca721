/* SPDX-License-Identifier: MIT */
/* The taints of a CPU, and the flushes that they make due (mitigate.c). The rules of code.pml hold here too. */
#if STUN
/* Here it is enough that what is owed is flushed, for the idle class too: "mitigations" shows it for the rest. */
bit tainted[CPUS] = 1;

inline mitigate_enter(asi)
{
#ifdef IDLE_NOT_FLUSHED
	if
	:: asi == IDLE
	:: else ->
#endif
	atomic {
		if
		:: tainted[CPU] -> tainted[CPU] = (asi == IDLE); flush_data() /* asi/mitigate.c: flush(owed(TO_IDLE, seen_by(asi))); */
		:: else
		fi
	}
#ifdef IDLE_NOT_FLUSHED
	fi
#endif
}

inline mitigate_leave()
{
	tainted[CPU] = 1
}
#else
byte asi_taints[CPUS], asi_taints_of[CPUS], asi_clean[CPUS];

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
		asi_taints_of[CPU] = asi; /* asi/mitigate.c: this_cpu(asi_taints_of) = asi->serial; */
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
#endif
