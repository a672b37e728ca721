/* SPDX-License-Identifier: MIT */
/*
 * Two CPUs of one domain. Each enters and exits for ever and, once, unmaps a page of its own, in the domain or out of
 * it; an unmapper interrupts the other CPU where that may hold the translation. NMIs leave by call; they come on CPU 0
 * only, since both CPUs do the same.
 */
#define CPUS 2
#ifndef LEVELS
#define LEVELS 3
#endif
#ifndef NMIS
#define NMIS 1
#endif
#define NMI_BY_FAULT 0
#define MITIGATIONS 0 /* per-CPU state, which one_cpu.pml has */
bit ipi[2], acked[2];
byte nmis = NMIS;
#include "hardware.pml"
#include "code.pml"

inline dispatch()
{
	if
	:: event[_pid] == NMI -> switch_exit()
	:: event[_pid] == IRQ -> flush_ipi()
	fi
}

inline serve_exit()
{
	if
	:: true -> irq_window()
	:: true -> asi_exit()
	:: skip
	fi;
	if
	:: mapped[CPU] -> unmap_and_flush()
	:: skip
	fi
}

active [CPUS * LEVELS] proctype context() provided (running[CPU] == LEVEL)
{
#ifdef SINCE_NOT_RECHECKED
	byte since;
#endif
	byte gen, seen, range, other;
	bit left, keep;

	if
	:: LEVEL == 0 ->
		do
		:: true ->
			asi_enter(A);
			enter_guest(A);
			serve_exit()
		od
	:: else ->
end:		do
		:: trap()
		od
	fi
}

/* Whatever may happen to a CPU at any time. */
inline happen(c)
{
	if
	/* Its buffered stores become visible. */
	:: atomic { seen_curr[c] != curr[c] -> seen_curr[c] = curr[c] }
	:: d_step { HAS_STORES(c) -> become_visible() }
	/* It loads a translation, if only by speculation; host_cr3 keeps the space loaded while a guest runs. */
	:: atomic { cr3[c] == A && mapped[0] && !TLB(c, 0) -> TLB(c, 0) = 1 }
	:: atomic { cr3[c] == A && mapped[1] && !TLB(c, 1) -> TLB(c, 1) = 1 }
	:: atomic {
		ipi[c] && irqs[c] && running[c] + 1 < LEVELS ->
		ipi[c] = 0;
		deliver(c, running[c] + 1, IRQ)
	   }
	:: atomic {
		c == 0 && nmis && !nmi_blocked[c] && !in_guest[c] && running[c] + 1 < LEVELS ->
		nmis--;
		nmi_blocked[c] = 1;
		deliver(c, running[c] + 1, NMI)
	   }
	:: atomic {
		cr3[c] && !curr[c] ->
		NEVER(cr3_without_curr, true)
	   }
	:: atomic {
		cr3[c] == A && (TLB(c, 0) && reused[0] || TLB(c, 1) && reused[1]) ->
		NEVER(stale_translation, true)
	   }
	fi
}

active proctype world()
{
end:	do
	:: happen(0)
	:: happen(1)
	od
}
