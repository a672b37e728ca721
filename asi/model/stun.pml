/* SPDX-License-Identifier: MIT */
/*
 * The sibling stun (stun.c): threads of one core, each a CPU. One word says of each whether it is unrestricted, or about to be (U), and
 * whether it is in a guest, or on its way there (G). The rules of code.pml hold here too.
 */
#define U(t)   (1 << (t))
#define G(t)   (1 << (CPUS + (t)))
#define ALL_U  ((1 << CPUS) - 1) /* asi/stun.c: #define ALL_U BITS(STUN_THREADS - 1, 0) */
#define OTHERS (ALL_U & ~U(CPU))
byte word = ALL_U;

/* Those that may run a guest: not who is out itself, an NMI that has left before a VM entry. */
#ifdef WAITS_FOR_LEAVERS
#define GUESTS (word >> CPUS & OTHERS)
#else
#define GUESTS (word >> CPUS & ~word & OTHERS) /* asi/stun.c: return word >> STUN_THREADS & ~word & ALL_U; */
#endif
#define OTHERS_UNRESTRICTED ((word & OTHERS) != 0) /* asi/stun.c: return word & ALL_U & ~this_cpu(stun_me); */

#ifdef WORD_NOT_ATOMIC
#define CHANGE(what) changed = (what); atomic { word = changed; changed = 0 }
#else
#define CHANGE(what) word = (what)
#endif

/* What a CPU asks of another one while it waits, whoever it is: a flush, or to stop. */
bit asked[CPUS];
#define SERVICE_DUE asked[CPU]
inline serve()
{
	asked[CPU] = 0
}

/* arch/x86/cpus.c: void cpu_kick(uint32_t cpu) */
inline kick_threads(threads)
{
	kick[0] = kick[0] || ((threads) & U(0)) != 0;
	kick[1] = kick[1] || ((threads) & U(1)) != 0;
	kick[CPUS - 1] = kick[CPUS - 1] || ((threads) & U(CPUS - 1)) != 0
}

/* Its first act, before anything sensitive can come in. asi/stun.c: void stun_leave_core(void) */
inline stun_publish()
{
#ifdef WORD_NOT_ATOMIC
	changed = word | U(CPU);
	atomic { waiting_for = GUESTS; word = changed; changed = 0 }
#else
	waiting_for = GUESTS; /* asi/stun.c: uint64_t waiting = in_guest(__atomic_fetch_or(&core->word, me, __ATOMIC_SEQ_CST)) & ~me; */
	word = word | U(CPU)
#endif
}

/* What it does then. Each needs to be seen once. */
inline stun_wait()
{
	atomic {
#ifndef NO_STUN_KICK
		kick_threads(waiting_for); /* asi/stun.c: kick_threads(waiting); */
#endif
#ifdef KICKED_AND_NOT_WAITED
		waiting_for = 0
#else
		skip
#endif
	};
	do
	:: atomic { !(waiting_for & GUESTS) -> waiting_for = 0; break } /* asi/stun.c: } while (waiting); */
#if CPUS > 2
	:: atomic { (waiting_for & GUESTS) != waiting_for -> waiting_for = waiting_for & GUESTS } /* asi/stun.c: waiting &= in_guest(read_word(core)); */
#endif
	:: SERVICE_DUE -> serve() /* asi/stun.c: cpu_serve(); */
	od
}

/* If it is in a domain. */
inline stun_leave()
{
	if
	:: atomic { CURRENT && !GUESTS -> stun_publish() } /* asi/stun.c: if (!waiting) */
	:: atomic { CURRENT && GUESTS -> stun_publish() };
		stun_wait()
	fi
}

#ifdef PERMISSION_KEPT
#define LOSES_PERMISSION false
#else
#define LOSES_PERMISSION (word & G(CPU) && OTHERS_UNRESTRICTED) /* asi/stun.c: if (unrestricted_others(old)) new &= ~guest; */
#endif
#ifdef REGAINED_UNTESTED
#define GRANTED true
#else
#define GRANTED (!OTHERS_UNRESTRICTED)
#endif

/*
 * asi/stun.c: void stun_entered_core(void)
 * The core has been flushed. A compare-and-exchange that is repeated until it succeeds is one act.
 */
inline stun_entered()
{
	if
	:: atomic { !LOSES_PERMISSION -> CHANGE(word & ~U(CPU)) } /* asi/stun.c: new = old & ~me; */
	:: atomic { LOSES_PERMISSION -> CHANGE(word & ~(U(CPU) | G(CPU))) };
#ifndef PERMISSION_NOT_REGAINED
		do /* asi/stun.c: static void wait_for_permission(struct stun_core *core) */
		:: !OTHERS_UNRESTRICTED -> /* asi/stun.c: while (unrestricted_others(read_word(core))) { */
			if
			:: atomic { GRANTED -> CHANGE(word | G(CPU)); break } /* asi/stun.c: if (!unrestricted_others(__atomic_fetch_or(&core->word, guest, __ATOMIC_SEQ_CST))) return; */
			:: atomic { !GRANTED -> CHANGE(word | G(CPU)) };
				CHANGE(word & ~G(CPU)) /* asi/stun.c: __atomic_fetch_and(&core->word, ~guest, __ATOMIC_SEQ_CST); */
			fi
#ifndef NO_SERVE_IN_REENTER
		:: SERVICE_DUE -> serve() /* asi/stun.c: cpu_serve(); world_yield(); */
#endif
		od
#else
		skip
#endif
	fi
}

/* Interrupts are off. Its value is left in refused. asi/stun.c: bool stun_enter_guest(void) */
inline stun_enter_guest()
{
#ifdef A5
	/* The review's time-line: interrupts on, nothing published, no second look once they are off. */
	irqs[CPU] = 1;
	!OTHERS_UNRESTRICTED;
	irqs[CPU] = 0;
	CHANGE(word | G(CPU))
#elif defined(TESTED_BEFORE_PUBLISHED)
	if
	:: OTHERS_UNRESTRICTED -> refused = 1
	:: !OTHERS_UNRESTRICTED -> CHANGE(word | G(CPU))
	fi
#else
	if
#ifndef NO_LOOK_BEFORE
	:: atomic { OTHERS_UNRESTRICTED -> refused = 1 }
	:: !OTHERS_UNRESTRICTED -> /* asi/stun.c: if (!unrestricted_others(read_word(core))) { */
#else
	:: true ->
#endif
#ifdef PUBLISHED_WITH_IRQS_ON
		irqs[CPU] = 1;
#endif
		if
		:: atomic { !OTHERS_UNRESTRICTED -> CHANGE(word | G(CPU)) } /* asi/stun.c: if (!unrestricted_others(__atomic_fetch_or(&core->word, guest, __ATOMIC_SEQ_CST))) { */
		:: atomic { OTHERS_UNRESTRICTED -> CHANGE(word | G(CPU)); refused = 1 };
			CHANGE(word & ~G(CPU)) /* asi/stun.c: __atomic_fetch_and(&core->word, ~guest, __ATOMIC_SEQ_CST); */
		fi
#ifdef PUBLISHED_WITH_IRQS_ON
		; irqs[CPU] = 0
#endif
	fi
#endif
}

/* asi/stun.c: void stun_exit_guest(void) */
inline stun_exit_guest()
{
	CHANGE(word & ~G(CPU))
}
