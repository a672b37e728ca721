/* SPDX-License-Identifier: MIT */
/*
 * What has been unmapped, and who may still use it: the TLB, asi/shootdown.c, and the parts of asi/switch.c that
 * answer it. The rules of code.pml hold here too. CPU c unmaps page c, once: KIND(c) says what of.
 */
#define OF_DOMAIN  1 /* domain A */
#define OF_DOMAINS 2 /* all of them, and B is the first in the list */
#define OF_HOST	   3 /* the unrestricted space; A does not map the page */
#ifndef KIND_0
#define KIND_0 0
#define KIND_1 0
#endif
#define KIND(c)	    ((c) == 0 -> KIND_0 : KIND_1)
#define GENERATIONS (KIND_0 == OF_DOMAIN || KIND_0 == OF_DOMAINS)
#define HOST	    (KIND_1 == OF_HOST)
#define SPACE(page) (KIND(page) == OF_HOST -> UNRESTRICTED : A) /* whose PCID counts */

#define GEN_OF_B     1
#define GEN_AT_FIRST 2 /* of A */
byte last_gen = GEN_AT_FIRST, slot_gen[CPUS] = GEN_AT_FIRST;
bit locked; /* asi/shootdown.c: __nonsensitive struct spinlock asi_lock = SPINLOCK(LOCK_ASI); */

/* An entry in the tables, for each page, and each CPU's copy of it in the space's PCID. */
bit mapped[CPUS] = 1, tlb[CPUS * CPUS];
bit reused[CPUS]; /* its unmapper was told that no CPU can reach it any more */
#define TLB(c, page) tlb[(c) * CPUS + (page)]
#define USES(c, page) (cr3[c] == SPACE(page) && TLB(c, page))

#if GENERATIONS || HOST
/* Within d_step, as are the next. A translation is loaded as soon as it can be: code never sees the TLB, so more is only worse. */
inline fill_tlb()
{
	TLB(CPU, 0) = TLB(CPU, 0) || cr3[CPU] == SPACE(0) && mapped[0];
	TLB(CPU, 1) = TLB(CPU, 1) || cr3[CPU] == SPACE(1) && mapped[1];
	NEVER(stale_translation, USES(CPU, 0) && reused[0] || USES(CPU, 1) && reused[1])
}

/* A PCID is named, which need not be the current one. */
inline flush_tlb(space)
{
	TLB(CPU, 0) = TLB(CPU, 0) && SPACE(0) != space;
	TLB(CPU, 1) = TLB(CPU, 1) && SPACE(1) != space;
	fill_tlb()
}

inline load_space(space, afresh)
{
	if
	:: afresh -> flush_tlb(space)
	:: else -> fill_tlb()
	fi
}
#else
inline load_space(space, afresh)
{
	skip
}
#endif

#if GENERATIONS
inline drop(page)
{
#ifdef DROPPED_FROM_CURRENT_PCID
	TLB(CPU, page) = TLB(CPU, page) && cr3[CPU] != A && target[CPU] != A;
#else
	TLB(CPU, page) = 0;
#endif
	fill_tlb()
}

/*
 * asi/switch.c: static bool flush_range(const struct asi *asi, uint32_t slot, uint64_t seen, uint64_t gen)
 * Its value is left in keep. A longer range than RANGE_MAX is like one that @seen lacks more of.
 */
inline flush_range()
{
#ifndef RANGE_READ_FIRST
	range = LOAD(RANGE); /* asi/switch.c: uint64_t va = READ_ONCE(asi->unmapped.va), len = READ_ONCE(asi->unmapped.len); */
#endif
	if
#ifdef KEPT_WHEN_TWO_BEHIND
	:: atomic { seen == 0 -> range = 0 }
	:: seen != 0 ->
#elif defined(SINCE_NOT_RECHECKED)
	:: atomic { since != seen -> range = 0 }
	:: since == seen ->
#else
	:: atomic { LOAD(SINCE) != seen -> range = 0 } /* asi/switch.c: if (READ_ONCE(asi->unmapped.since) != seen || len > RANGE_MAX || */
	:: LOAD(SINCE) == seen ->
#endif
		if
		:: atomic { LOAD(GEN) != gen -> range = 0 } /* asi/switch.c: READ_ONCE(asi->tlb_gen) != gen) */
		:: d_step { LOAD(GEN) == gen -> drop(range); range = 0; keep = 1 } /* asi/switch.c: tlb_flush_pcid_page(pcid_of(slot), va + at); */
		fi
	fi
}

/* asi/switch.c: static void load_restricted(const struct asi *asi) */
inline load_restricted(asi)
{
#ifdef RANGE_READ_FIRST
	range = LOAD(RANGE);
#endif
#ifdef SINCE_NOT_RECHECKED
	since = LOAD(SINCE);
#endif
	if
	:: atomic { asi == B -> gen = GEN_OF_B; keep = 1 } /* nobody unmaps in it, and it has a slot of its own */
	:: atomic { asi == A -> gen = LOAD(GEN); seen = slot_gen[CPU]; keep = (seen == gen) } /* asi/switch.c: uint64_t cr3 = asi->pt.root.v | pcid_of(slot), gen = READ_ONCE(asi->tlb_gen); */
	fi;
#ifdef GEN_RECORDED_BEFORE_FLUSH
	slot_gen[CPU] = (asi == A -> gen : slot_gen[CPU]);
#endif
	if
	:: keep -> write_cr3(asi, false)
	:: else ->
#ifdef DROPPED_AFTER_CR3
		keep = 1;
#else
		flush_range(); /* asi/switch.c: bool keep = tlb_has_pcid() && (seen == gen || flush_range(asi, slot, seen, gen)); */
#endif
#ifdef NEVER_FLUSHED_ON_ENTER
		keep = 1;
#endif
		write_cr3(asi, !keep) /* asi/switch.c: write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0)); */
	fi;
#ifdef DROPPED_AFTER_CR3
	if
	:: asi == A && seen != gen -> keep = 0; flush_range(); write_cr3(asi, !keep)
	:: else
	fi;
#endif
#ifdef GEN_READ_AFTER_FLUSH
	gen = (asi == A -> LOAD(GEN) : GEN_OF_B);
#endif
	d_step { slot_gen[CPU] = (asi == A -> gen : slot_gen[CPU]); seen = 0; keep = 0 }; /* asi/switch.c: this_cpu(asi_slots[slot]).gen = gen; */
	d_step { SET(CR3_GEN(CPU), gen); gen = 0 } /* asi/switch.c: this_cpu(asi_cr3_gen) = gen; */
#if HOST
	; STORE(HOST_ON(CPU), 0)
#endif
}

/* asi/switch.c: static void catch_up(const struct asi *asi) */
inline catch_up()
{
#ifdef RANGE_READ_FIRST
	range = LOAD(RANGE);
#endif
#ifdef SINCE_NOT_RECHECKED
	since = LOAD(SINCE);
#endif
	d_step { gen = LOAD(GEN); seen = slot_gen[CPU] }; /* asi/switch.c: uint64_t gen = READ_ONCE(asi->tlb_gen); */
#ifdef ACK_BEFORE_FLUSH
	STORE(CR3_GEN(CPU), gen);
#endif
	flush_range(); /* asi/switch.c: if (!flush_range(asi, i, this_cpu(asi_slots[i]).gen, gen)) { */
	if
	:: keep
	:: else -> d_step { flush_tlb(A) } /* asi/switch.c: tlb_flush_pcid(pcid_of(i)); */
	fi;
	d_step { slot_gen[CPU] = gen; SET(CR3_GEN(CPU), gen); gen = 0; seen = 0; keep = 0 } /* asi/switch.c: this_cpu(asi_slots[i]).gen = this_cpu(asi_cr3_gen) = gen; */
}

#define IS_BEHIND (CURRENT == A && LOAD(CR3_GEN(CPU)) != LOAD(GEN))
#ifdef SERVE_IN_TRANSIT
#define DOMAIN_DUE (IS_BEHIND || CURRENT == B && !LOAD(CR3_GEN(CPU)))
#else
#define DOMAIN_DUE (LOAD(CR3_GEN(CPU)) && IS_BEHIND) /* asi/switch.c: if (curr && this_cpu(asi_cr3_gen) && this_cpu(asi_cr3_gen) != READ_ONCE(curr->tlb_gen)) */
#endif
#else
#define DOMAIN_DUE false
#define catch_up() skip
#endif

#if HOST
#if !GENERATIONS
/* asi/switch.c: static void load_restricted(const struct asi *asi) */
inline load_restricted(asi)
{
#ifdef HOST_OFF_BEFORE_CR3
	STORE(HOST_ON(CPU), 0);
#endif
	write_cr3(asi, false);
#ifndef HOST_OFF_BEFORE_CR3
	STORE(HOST_ON(CPU), 0) /* asi/switch.c: this_cpu(asi_host_on) = 0; */
#else
	skip
#endif
}
#endif

/* asi/switch.c: static void load_unrestricted(void) */
inline load_unrestricted()
{
#ifdef HOST_TEST_BY_CURR
	write_cr3(UNRESTRICTED, false);
	EXCHANGE(CURR(CPU), UNRESTRICTED);
	gen = LOAD(HOST_GEN);
	if
	:: LOAD(HOST_SEEN(CPU)) != gen -> d_step { flush_tlb(UNRESTRICTED); SET(HOST_SEEN(CPU), gen) }
	:: else
	fi;
	gen = 0
#else
#ifdef HOST_GEN_READ_FIRST
	gen = LOAD(HOST_GEN);
#endif
#ifdef HOST_ON_STORED
	STORE(HOST_ON(CPU), 1);
#elif !defined(HOST_ON_AFTER_CR3)
	EXCHANGE(HOST_ON(CPU), 1); /* asi/switch.c: this_cpu_xchg(asi_host_on, 1); */
#endif
#ifndef HOST_GEN_READ_FIRST
	gen = LOAD(HOST_GEN); /* asi/switch.c: gen = READ_ONCE(asi_host_gen); */
#endif
	keep = (LOAD(HOST_SEEN(CPU)) == gen); /* asi/switch.c: keep = tlb_has_pcid() && this_cpu(asi_host_seen) == gen; */
	write_cr3(UNRESTRICTED, !keep); /* asi/switch.c: write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0)); */
#ifdef HOST_ON_AFTER_CR3
	EXCHANGE(HOST_ON(CPU), 1);
#endif
	if
	:: atomic { keep -> keep = 0; gen = 0 }
	:: d_step { !keep -> SET(HOST_SEEN(CPU), gen); gen = 0 } /* asi/switch.c: this_cpu(asi_host_seen) = gen; */
	fi
#endif
}

#ifdef HOST_TEST_BY_CURR
#define IN_HOST(c) !memory[CURR(c)]
#define HOST_DUE   (!CURRENT && LOAD(HOST_SEEN(CPU)) != LOAD(HOST_GEN))
#else
#define IN_HOST(c) memory[HOST_ON(c)] /* asi/shootdown.c: return !__atomic_load_n(percpu_of(cpu, asi_host_on), __ATOMIC_ACQUIRE) || */
#define HOST_DUE   (LOAD(HOST_ON(CPU)) && LOAD(HOST_SEEN(CPU)) != LOAD(HOST_GEN)) /* asi/switch.c: if (this_cpu(asi_host_on) && this_cpu(asi_host_seen) != host) { */
#endif

inline serve_host()
{
	gen = LOAD(HOST_GEN); /* asi/switch.c: host = READ_ONCE(asi_host_gen); */
#ifdef HOST_ACK_BEFORE_FLUSH
	STORE(HOST_SEEN(CPU), gen);
#endif
	d_step { flush_tlb(UNRESTRICTED) }; /* asi/switch.c: tlb_flush_pcid(0); */
	d_step { SET(HOST_SEEN(CPU), gen); gen = 0 } /* asi/switch.c: this_cpu(asi_host_seen) = host; */
}
#else
#define IN_HOST(c)   false
#define HOST_DUE     false
#define serve_host() skip
inline load_unrestricted()
{
	write_cr3(UNRESTRICTED, false) /* asi/switch.c: write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0)); */
#if !GENERATIONS
	; asi_cr3[CPU] = UNRESTRICTED /* asi/switch.c: this_cpu(asi_cr3) = cr3; */
#endif
}
#endif

#if !GENERATIONS && !HOST
inline load_restricted(asi)
{
	write_cr3(asi, false);
	asi_cr3[CPU] = asi /* asi/switch.c: this_cpu(asi_cr3) = cr3; */
}
#else
/* asi/switch.c: void cpu_serve(void) */
inline cpu_serve()
{
#if HOST
	if
	:: HOST_DUE -> serve_host()
	:: else
	fi;
#endif
#if GENERATIONS
	if
#ifdef SERVE_IN_TRANSIT
	:: CURRENT == B && DOMAIN_DUE -> STORE(CR3_GEN(CPU), GEN_OF_B)
	:: CURRENT != B && DOMAIN_DUE -> catch_up()
#else
	:: DOMAIN_DUE -> catch_up()
#endif
	:: else
	fi
#else
	skip
#endif
}

/* The lock's release follows the store of the generation, and leaves the buffer with it. */
#define TAKE_LOCK d_step { !locked && buffered[OTHER] < GEN -> drain(CPU); locked = 1 } /* asi/shootdown.c: uint64_t flags = spin_lock(&asi_lock); */

/* asi/shootdown.c: static uint64_t next_generation(struct asi *asi, uint64_t va, uint64_t len) */
inline next_generation()
{
	d_step { last_gen++; gen = last_gen }; /* asi/shootdown.c: uint64_t gen = ++asi_last_gen; */
#if !defined(SINCE_AFTER_RANGE) && !defined(SINCE_NOT_ADVANCED)
	STORE(SINCE, LOAD(GEN)); /* asi/shootdown.c: WRITE_ONCE(asi->unmapped.since, asi->tlb_gen); */
#endif
#ifdef GEN_BEFORE_RANGE
	STORE(GEN, gen);
#endif
	STORE(RANGE, CPU); /* asi/shootdown.c: WRITE_ONCE(asi->unmapped.va, va); WRITE_ONCE(asi->unmapped.len, len); */
#ifdef SINCE_AFTER_RANGE
	STORE(SINCE, LOAD(GEN));
#endif
	d_step {
#if !defined(NO_GEN) && !defined(GEN_BEFORE_RANGE)
		SET(GEN, gen); /* asi/shootdown.c: WRITE_ONCE(asi->tlb_gen, gen); */
#endif
		locked = 0 /* asi/shootdown.c: spin_unlock(&asi_lock, flags); */
	}
}

/* Takes the page out, and says so: asi_flush_local(), asi_flush_global(), flush_host(). */
inline unmap()
{
#ifndef UNMAPPED_AFTER_GEN
	mapped[CPU] = 0; /* the entry in the tables: whoever calls has done it */
#endif
	if
#if HOST
	:: KIND(CPU) == OF_HOST ->
		d_step {
			drain(CPU);
			memory[HOST_GEN] = memory[HOST_GEN] + 1; /* asi/shootdown.c: f.gen = __atomic_add_fetch(&asi_host_gen, 1, __ATOMIC_SEQ_CST); */
			mine = memory[HOST_GEN]
		}
#endif
#if GENERATIONS
	:: KIND(CPU) == OF_DOMAIN ->
		TAKE_LOCK;
		next_generation();
		d_step { mine = gen; gen = 0 } /* asi/shootdown.c: f.gen = next_generation(asi, va, len); */
	:: KIND(CPU) == OF_DOMAINS ->
		TAKE_LOCK;
		d_step { last_gen++; mine = last_gen }; /* asi/shootdown.c: struct flush f = { .kind = OF_DOMAINS, .gen = asi_last_gen + 1 }; */
#ifdef NOT_ONE_LOCK
		locked = 0;
		TAKE_LOCK;
#endif
		next_generation();
		gen = 0
#endif
	fi;
#ifdef UNMAPPED_AFTER_GEN
	mapped[CPU] = 0;
#endif
#ifndef NO_FENCE_IN_FLUSH
	d_step { drain(CPU) } /* asi/shootdown.c: memory_fence(); */
#else
	skip
#endif
}

/* Two words, looked at in turn. asi/shootdown.c: static bool is_past(uint32_t cpu, const struct flush *f) */
#define HOST_KIND (HOST && KIND(CPU) == OF_HOST)
#ifdef CR3_GEN_READ_FIRST
#define FIRST_LOOK (HOST_KIND -> IN_HOST(OTHER) : memory[CR3_GEN(OTHER)])
#define CURR_SEEN  memory[CURR(OTHER)]
#define GEN_SEEN   first
#else
#define FIRST_LOOK (HOST_KIND -> IN_HOST(OTHER) : memory[CURR(OTHER)]) /* asi/shootdown.c: const struct asi *curr = __atomic_load_n(percpu_of(cpu, asi_curr), __ATOMIC_ACQUIRE); */
#define CURR_SEEN  first
#define GEN_SEEN   memory[CR3_GEN(OTHER)] /* asi/shootdown.c: uint64_t seen = __atomic_load_n(percpu_of(cpu, asi_cr3_gen), __ATOMIC_ACQUIRE); */
#endif
#ifdef NO_TRANSIT
#define IN_PLACE true
#else
#define IN_PLACE GEN_SEEN
#endif
/* asi/shootdown.c: return !curr || (seen && (seen >= gen || (asi && curr != asi))); */
#define PAST_DOMAIN (!CURR_SEEN || IN_PLACE && (GEN_SEEN >= mine || KIND(CPU) == OF_DOMAIN && CURR_SEEN != A))
#define PAST_HOST   (!first || memory[HOST_SEEN(OTHER)] >= mine) /* asi/shootdown.c: __atomic_load_n(percpu_of(cpu, asi_host_seen), __ATOMIC_ACQUIRE) >= f->gen; */
#define IS_PAST	    (HOST_KIND -> PAST_HOST : PAST_DOMAIN)

/* asi/shootdown.c: static bool is_leaving(uint32_t cpu, const struct flush *f) */
#ifdef LOOKED_AT_TWICE
#define IS_LEAVING (KIND(CPU) == OF_DOMAIN && memory[CURR(OTHER)] != A)
#elif defined(KICKS_WHOEVER_IS_RESTRICTED)
#define IS_LEAVING false
#else
#define IS_LEAVING (KIND(CPU) == OF_DOMAIN && CURR_SEEN != A)
#endif

/*
 * asi/shootdown.c: static void wait_for_others(const struct flush *f)
 * A turn in which it would find all as before is none. Two looks at different times are like one that takes long.
 */
inline wait_for_other()
{
#ifndef GEN_AFTER_CURR_TEST
	first = FIRST_LOOK;
#endif
	if
	:: IS_PAST /* asi/shootdown.c: if (is_past(cpu, f)) { */
	:: else ->
#ifndef NO_KICK
		if
		:: atomic { !IS_LEAVING -> NEVER(needless_kick, KIND(CPU) == OF_DOMAIN && CURR_SEEN != A); kick[OTHER] = 1 } /* asi/shootdown.c: } else if (!is_leaving(cpu, f)) { */
		:: IS_LEAVING
		fi;
#endif
		do
		:: IS_PAST -> break
		:: atomic { FIRST_LOOK != first -> first = FIRST_LOOK }
#if !defined(NO_SERVE_IN_WAIT) && !defined(SERVES_ONLY_ITSELF)
		:: HOST_DUE -> serve_host() /* asi/shootdown.c: cpu_serve(); */
		:: DOMAIN_DUE -> catch_up()
#endif
		od
	fi;
	first = 0
}

inline unmap_and_flush()
{
#ifdef GEN_AFTER_CURR_TEST
	first = FIRST_LOOK;
#endif
	unmap();
#ifdef SERVES_ONLY_ITSELF
	if
	:: KIND(CPU) == OF_HOST && HOST_DUE -> serve_host()
	:: KIND(CPU) == OF_DOMAIN && DOMAIN_DUE -> catch_up()
	:: else
	fi;
#elif !defined(NO_LOCAL_FLUSH)
	cpu_serve(); /* asi/shootdown.c: cpu_serve(); */
#endif
#ifndef NO_WAIT
	wait_for_other(); /* asi/shootdown.c: wait_for_others(f); */
#endif
	d_step {
		mine = 0;
		reused[CPU] = 1;
		NEVER(stale_translation, USES(0, CPU) || USES(1, CPU))
	}
}
#endif
