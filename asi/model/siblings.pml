/* SPDX-License-Identifier: MIT */
/*
 * Threads of one core, which share an L1. Each runs a guest of domain A, or is idle; leaves by call, with a lock or without,
 * and asks something of its sibling then; NMIs leave at any point, interrupts wherever they are on.
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef LEVELS
#define LEVELS 3
#endif
#ifndef PLAIN
#define PLAIN 0 /* or 1: nobody takes a lock or asks for anything */
#endif
#define NMI_BY_FAULT 0
#define MITIGATIONS 0
#define STUN 1
#include "hardware.pml"
#include "code.pml"

#ifdef EVENTS /* at most so many between two VM entries of CPU 0: progress must be our code's doing */
byte events;
#define MAY events < EVENTS
#define EVENT events++
#define RENEW_EVENTS events = 0
#else
#define MAY true
#define EVENT skip
#define RENEW_EVENTS skip
#endif

inline dispatch()
{
	if
	:: event[_pid] == NMI -> switch_exit()
	:: atomic { event[_pid] == IRQ -> asked[CPU] = 0 }
	:: atomic { event[_pid] == IRQ && MAY -> EVENT; asked[CPU] = 0 }; switch_exit()
	fi
}

inline vm_entry()
{
	NEVER(sibling_exposed, core_sensitive);
	NEVER(guest_unrestricted, CURRENT != A || target[CPU] != A || cr3[CPU] != A || depth[CPU] || !(word & G(CPU))); /* asi/asi.h: ASSERT(!asi || stun_has_begun()); */
	in_guest[CPU] = 1
}

inline run_guest()
{
	asi_enter(A);
	stun_enter_guest();
	if
	:: atomic { refused -> asi_relax(); irqs[CPU] = 1 };
		/* A clean point: interrupts are let in. Nothing would be new before one of these. */
#ifdef WAITS_ON_AFTER_LEAVING
		!OTHERS_UNRESTRICTED;
#elif !defined(NO_LOOK_BEFORE)
		!OTHERS_UNRESTRICTED || CURRENT != A;
#endif
		atomic { irqs[CPU] = 0; refused = 0; goto turn_over }
	:: atomic { !refused && CPU == 0 -> vm_entry(); RENEW_EVENTS };
progress:	skip
	:: atomic { !refused && CPU != 0 -> vm_entry() }
	fi;
	/* A kick is not sure to be taken before the first instruction: what STI and MOV SS shadow. */
end_guest:
	if
	:: atomic { kick[CPU] -> in_guest[CPU] = 0 }
	:: atomic { !kick[CPU] && MAY -> EVENT; in_guest[CPU] = 0 }
	fi;
#ifndef ACK_AFTER_HANDLER
	stun_exit_guest();
#endif
	asi_relax();
	if
	:: skip
	:: kick[CPU] -> irq_window()
	:: atomic { !kick[CPU] && MAY -> EVENT }; sensitive_work()
	fi;
#ifdef ACK_AFTER_HANDLER
	stun_exit_guest();
#endif
turn_over:
	skip
}

#define NEXT ((CPU + 1) % CPUS)
bit lock;

inline sensitive_work()
{
#if PLAIN
	switch_exit()
#else
	if
	:: true -> switch_exit()
	:: true ->
		atomic { !lock -> lock = 1 };
		switch_exit();
		lock = 0
	:: true -> switch_exit();
		atomic { asked[NEXT] = 1; kick[NEXT] = 1 };
		do
		:: !asked[NEXT] -> break
		:: SERVICE_DUE -> serve()
		od
	fi
#endif
}

inline idle()
{
	asi_enter(IDLE);
#ifdef IDLE_WITHOUT_TARGET
	asi_relax();
#endif
	atomic { irqs[CPU] = 1; halted[CPU] = 1 };
end_halt:
	atomic { !halted[CPU] -> irqs[CPU] = 0 };
	asi_relax(); /* vmm/idle.c: asi_relax(); */
	switch_exit() /* vmm/idle.c: asi_exit(); */
}

active [CPUS * LEVELS] proctype context() provided (running[CPU] == LEVEL)
{
	byte waiting_for;
	bit left, refused;
#ifdef WORD_NOT_ATOMIC
	byte changed;
#endif

end_boot:
	if
	:: LEVEL == 0 ->
		do
		:: run_guest()
#if CPUS == 2
		:: true -> idle()
#endif
		od
	:: else ->
end:		do
		:: trap()
		od
	fi
}

/* A process for each CPU: whose interrupt is pending for ever gets it at last. */
active [CPUS] proctype apic()
{
	byte c = _pid - CPUS * LEVELS;

end:	do
	:: atomic {
		kick[c] && irqs[c] && running[c] + 1 < LEVELS ->
		kick[c] = 0;
		deliver(c, running[c] + 1, IRQ)
	   }
	od
}

inline happen(c)
{
	if
	:: atomic {
		!nmi_blocked[c] && !in_guest[c] && running[c] + 1 < LEVELS && MAY ->
		EVENT;
		nmi_blocked[c] = 1;
		deliver(c, running[c] + 1, NMI)
	   }
	/* A timer, or another core. */
	:: atomic {
		irqs[c] && !kick[c] && MAY ->
		EVENT;
		kick[c] = 1
	   }
	fi
}

active proctype world()
{
end:	do
	:: happen(0)
	:: happen(1)
#if CPUS > 2
	:: happen(2)
#endif
	od
}
