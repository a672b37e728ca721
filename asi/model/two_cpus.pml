/* SPDX-License-Identifier: MIT */
/*
 * Two CPUs. Each enters and leaves domain A for ever, and stays in a guest, or halted in A, until somebody kicks it, or
 * less long; CPU 0 also goes over to another domain, B. Each once unmaps a page, in A, outside, or in
 * all domains at once, from wherever it is. NMIs, which serve and then leave, as the stun does,
 * come on CPU 0 only, since both CPUs do the same.
 */
#define CPUS 2
#ifndef LEVELS
#define LEVELS 3
#endif
#ifndef NMIS
#define NMIS 1
#endif
#ifndef KIND_0
#define KIND_0 OF_DOMAIN
#endif
#ifndef KIND_1
#define KIND_1 OF_DOMAIN
#endif
#ifndef UNMAPPERS
#define UNMAPPERS 2 /* or 1: CPU 1 alone */
#endif
#define NMI_BY_FAULT 0
#define MITIGATIONS 0 /* per-CPU state, which one_cpu.pml has */
#define BUFFERS 1
#define B 2
byte nmis = NMIS;
#include "hardware.pml"
#include "code.pml"

inline dispatch()
{
	if
	:: event[_pid] == NMI -> cpu_serve(); switch_exit()
	:: event[_pid] == IRQ -> cpu_serve() /* arch/x86/apic.c: cpu_serve(); */
	fi
}

/* asi/asi.h: static inline void asi_check_entry(const struct asi *asi, uint64_t host_cr3) */
inline catch_up_at_entry()
{
#ifdef ENTRY_AT_LATEST_GEN
	atomic { NEVER(generation_behind, GENERATIONS && memory[CR3_GEN(CPU)] != memory[GEN]) }
#elif GENERATIONS && !defined(NO_CATCH_UP)
	if
	:: IS_BEHIND -> catch_up() /* asi/asi.h: if (unlikely(this_cpu(asi_cr3_gen) != READ_ONCE(asi->tlb_gen))) */
	:: else
	fi
#else
	skip
#endif
}

inline serve_exit()
{
	if
	:: true -> irq_window()
	:: true -> switch_exit()
	:: skip
	fi;
	if
	:: mapped[CPU] -> unmap_and_flush()
	:: skip
	fi
}

bit started;

/* As after boot. */
inline start()
{
	if
	:: d_step {
		!started ->
		started = 1;
		mapped[0] = (UNMAPPERS == 2);
		memory[GEN] = GEN_AT_FIRST;
		memory[SINCE] = GEN_AT_FIRST;
		memory[HOST_ON(0)] = 1; /* asi/switch.c: __percpu uint64_t asi_host_on = 1, asi_host_seen, asi_all_seen; */
		memory[HOST_ON(1)] = 1;
		TLB(0, 0) = (SPACE(0) == UNRESTRICTED);
		TLB(1, 0) = (SPACE(0) == UNRESTRICTED);
		TLB(0, 1) = (SPACE(1) == UNRESTRICTED);
		TLB(1, 1) = (SPACE(1) == UNRESTRICTED)
	   }
	:: started
	fi
}

active [CPUS * LEVELS] proctype context() provided (running[CPU] == LEVEL)
{
	byte gen, mine, seen, range, first;
	bit left, keep;
#ifdef SINCE_NOT_RECHECKED
	byte since;
#endif

end_boot:
	if
	:: LEVEL == 0 ->
		start();
		do
		:: true ->
			asi_enter(A);
			if
			:: skip
			:: true ->
				catch_up_at_entry();
end_guest:			kick[CPU] /* taken at the window */
			:: true -> /* vmm/run.c: static void doze(struct vcpu *v) */
				atomic { irqs[CPU] = 1; halted[CPU] = 1 };
end_halt:			atomic { !halted[CPU] -> irqs[CPU] = 0 }
			fi;
			asi_relax();
			serve_exit()
		:: KIND_0 == OF_DOMAIN && CPU == 0 ->
			asi_enter(B);
			asi_relax()
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
	:: d_step { buffered[c] -> drain(c) }
	:: atomic {
		kick[c] && irqs[c] && running[c] + 1 < LEVELS ->
		kick[c] = 0;
		deliver(c, running[c] + 1, IRQ)
	   }
	:: atomic {
		c == 0 && nmis && !nmi_blocked[c] && running[c] + 1 < LEVELS ->
		nmis--;
		nmi_blocked[c] = 1;
		deliver(c, running[c] + 1, NMI)
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
