/* SPDX-License-Identifier: MIT */
/*
 * One CPU, two guests' domains in turn and an idle one: exits that leave by fault, by call or not at all; interrupts
 * where they are enabled; NMIs and machine checks everywhere, that leave too. Events nest up to three deep
 * above the vCPU loop: an interrupt, its page fault, an NMI; or an NMI, its page fault, another NMI.
 */
#define CPUS 1
#ifndef LEVELS
#define LEVELS 4
#endif
#define NMI_BY_FAULT 1
#define FINE 1
#ifndef MITIGATIONS
#define MITIGATIONS 0
#endif
#ifndef MACHINE_CHECKS
#define MACHINE_CHECKS 0
#endif
#ifdef EVENTS /* at most so many between two VM entries, so that an endless run is our code's doing */
byte events;
#define MAY events < EVENTS
#define EVENT events++
#define RENEW_EVENTS events = 0
#else
#define MAY true
#define EVENT skip
#define RENEW_EVENTS skip
#endif

#include "hardware.pml"
#include "code.pml"

inline dispatch()
{
	if
	:: event[_pid] == PF -> fault_fixup()
	:: event[_pid] == NMI -> nmi()
	:: event[_pid] == MC -> machine_check()
	:: event[_pid] == IRQ ->
		if
		:: skip
		:: LEVEL + 1 < LEVELS -> touch()
		fi
	fi
}

/* What a handler may do, in this order; each is optional. */
inline serve_exit()
{
	if
	:: skip
	:: touch()
	fi;
	if
	:: skip
	:: irq_window()
	fi;
	if
	:: skip
	:: true -> asi_exit(); touch()
	/* Another's turn. */
	:: true ->
		asi_exit_turns();
		atomic { NEVER(base_stack, cr3[CPU] != UNRESTRICTED); v = 3 - v }
#if MITIGATIONS
	/* What the functions allow, although nobody does it yet. */
	:: true -> v = 3 - v
	:: true -> asi_enter(IDLE); asi_relax()
#endif
	fi
}

active [CPUS * LEVELS] proctype context() provided (running[CPU] == LEVEL)
{
	byte v = 1, saved_cr2, taints, flushes;
	bit left;

	if
	:: LEVEL == 0 ->
		d_step {
			held[CPU] = OF(UNRESTRICTED);
			asi_taints[CPU] = SENSITIVE /* asi/mitigate.c: taint(BIT(TAINT_SENSITIVE_DATA)); */
		};
		do
		:: true ->
			asi_enter(v); /* vmm/run.c: restricted = asi_enter(v->asi); */
			enter_guest(v);
			serve_exit() /* vmm/run.c: if (!serve_exit(v)) */
		od
	:: else ->
end:		do
		:: trap()
		od
	fi
}

active proctype world()
{
end:	do
	:: atomic {
		!nmi_blocked[0] && !in_guest[0] && running[0] + 1 < LEVELS && MAY ->
		EVENT;
		nmi_blocked[0] = 1;
		deliver(0, running[0] + 1, NMI)
	   }
	:: atomic {
		MACHINE_CHECKS && !mcip[0] && !in_guest[0] && running[0] + 1 < LEVELS && MAY ->
		EVENT;
		mcip[0] = 1;
		deliver(0, running[0] + 1, MC)
	   }
	:: atomic {
		irqs[0] && running[0] + 1 < LEVELS && MAY ->
		EVENT;
		deliver(0, running[0] + 1, IRQ)
	   }
	/* In every state: what curr promises. */
	:: atomic {
		cr3[0] && !memory[CURR(0)] ->
		NEVER(cr3_without_curr, true)
	   }
	od
}
