/* SPDX-License-Identifier: MIT */
/*
 * Flushing what has been unmapped, on every CPU that may use it. Who unmaps gives out a generation and waits until all
 * others have come so far; what a CPU is asked for, it reads from here itself (cpu_serve() in switch.c):
 *
 *   a domain's      tlb_gen      against what the CPU has in CR3: asi_cr3_gen
 *   all domains'    the same, a new one for each
 *   the host's      asi_host_gen      asi_host_seen     of PCID 0, the unrestricted space
 *   everything's    asi_flush_begun   asi_all_seen      of all PCIDs
 *
 * A CPU that is elsewhere is not disturbed: it catches up when it comes back. One lock gives out all generations of
 * domains, so that they never fall: "at least this one" is then said of a domain without looking at it,
 * which may be ending. Nobody waits with a lock held, and who waits serves.
 */
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/trace.h"
#include "asi/internal.h"
#include "lib/assert.h"
#include "mm/hostmap.h"
#include "mm/quarantine.h"

__nonsensitive struct spinlock asi_lock = SPINLOCK(LOCK_ASI);
struct asi *asi_domains[DOMAINS_MAX];

/*
 * The last TLB generation given out, to any domain: a PCID slot that still remembers a dead domain, or
 * another one, can then never look up to date. Guarded by asi_lock.
 */
static __nonsensitive uint64_t asi_last_gen;

__nonsensitive uint64_t asi_host_gen;

/*
 * Generations of flushes of everything: the last one begun, and the last one ended. What is read
 * between, is of the one begun, perhaps too late for it, and so waits for the next.
 */
__nonsensitive uint64_t asi_flush_begun;
static __nonsensitive uint64_t asi_flush_ended;

struct asi *domain_next(unsigned int *id)
{
	while (*id < DOMAINS_MAX) {
		struct asi *asi = asi_domains[(*id)++];

		if (asi)
			return asi;
	}
	return NULL;
}

void domain_publish(struct asi *asi)
{
	uint64_t flags = spin_lock(&asi_lock);

	asi->serial = asi->tlb_gen = asi->unmapped.since = ++asi_last_gen;
	asi_domains[asi->id] = asi;
	spin_unlock(&asi_lock, flags);
}

enum flush_kind { OF_DOMAIN, OF_DOMAINS, OF_HOST, OF_EVERYTHING };

/* What others are waited for: that they have seen @gen, or do not need to. */
struct flush {
	enum flush_kind kind;
	const struct asi *asi; /* OF_DOMAIN: compared, never looked at */
	uint64_t gen;
};

/*
 * Whether @cpu uses nothing older than @gen, of @asi or, if that is NULL, of any domain. curr is read first:
 * switch_to() writes them in the other order, so 0 is seen wherever curr and CR3 may differ.
 */
static bool past_domain(uint32_t cpu, const struct asi *asi, uint64_t gen)
{
	const struct asi *curr = __atomic_load_n(percpu_of(cpu, asi_curr), __ATOMIC_ACQUIRE);
	uint64_t seen = __atomic_load_n(percpu_of(cpu, asi_cr3_gen), __ATOMIC_ACQUIRE);

	return !curr || (seen && (seen >= gen || (asi && curr != asi)));
}

static bool is_past(uint32_t cpu, const struct flush *f)
{
	switch (f->kind) {
	case OF_HOST:
		return !__atomic_load_n(percpu_of(cpu, asi_host_on), __ATOMIC_ACQUIRE) ||
		       __atomic_load_n(percpu_of(cpu, asi_host_seen), __ATOMIC_ACQUIRE) >= f->gen;
	case OF_EVERYTHING:
		return __atomic_load_n(percpu_of(cpu, asi_all_seen), __ATOMIC_ACQUIRE) >= f->gen;
	default:
		return past_domain(cpu, f->asi, f->gen);
	}
}

/* A CPU that is on its way from the domain to another one needs no interrupt to arrive. */
static bool is_leaving(uint32_t cpu, const struct flush *f)
{
	return f->kind == OF_DOMAIN &&
	       __atomic_load_n(percpu_of(cpu, asi_curr), __ATOMIC_ACQUIRE) != f->asi;
}

/* The generation has been given out, and a full fence lies behind that. */
static void wait_for_others(const struct flush *f)
{
	uint64_t waiting = cpus_active() & ~BIT(this_cpu(cpu_number)), begin = rdtsc(), kicked = 0;

	ASSERT(!this_cpu(locks_held));
	for_each_cpu (cpu, waiting) {
		if (is_past(cpu, f)) {
			waiting &= ~BIT(cpu);
			this_cpu(asi_stats).kicks_avoided++;
		} else if (!is_leaving(cpu, f)) {
			cpu_kick(cpu);
			kicked |= BIT(cpu);
			this_cpu(asi_stats).kicks++;
		}
	}
	while (waiting) {
		cpu_serve();
		cpu_pause();
		waiting &= cpus_active(); /* a parked one flushes when it comes back */
		for_each_cpu (cpu, waiting)
			if (is_past(cpu, f))
				waiting &= ~BIT(cpu);
	}
	if (!this_cpu(asi_curr))
		trace_note(TRACE_SHOOTDOWN, trace_duration(begin, bits_count(kicked)));
}

/*
 * With the lock held: [@va, @va + @len) of @asi is stale from now on. Returns the new generation. Who is exactly
 * one behind drops the range alone (flush_range() in switch.c), and reads it without the lock: in this order.
 */
static uint64_t next_generation(struct asi *asi, uint64_t va, uint64_t len)
{
	uint64_t gen = ++asi_last_gen;

	WRITE_ONCE(asi->unmapped.since, asi->tlb_gen);
	barrier();
	WRITE_ONCE(asi->unmapped.va, va);
	WRITE_ONCE(asi->unmapped.len, len);
	barrier();
	WRITE_ONCE(asi->tlb_gen, gen);
	return gen;
}

/* Whoever enters @f's domains from here on sees its generation; who was there before is waited for. */
static void finish_domains(const struct flush *f)
{
	memory_fence();
	cpu_serve(); /* this CPU, if it is in one of them */
	wait_for_others(f);
}

void asi_flush_local(struct asi *asi, uint64_t va, uint64_t len)
{
	struct flush f = { .kind = OF_DOMAIN, .asi = asi };
	uint64_t flags;

	if (!asi)
		return;
	flags = spin_lock(&asi_lock);
	f.gen = next_generation(asi, va, len);
	spin_unlock(&asi_lock, flags);
	finish_domains(&f);
}

/*
 * One domain of @owner's with an id of at least *@id, under the lock from finding it to the last touch: it may be
 * ending. False if there is none.
 */
static bool flush_one_of(const struct mem_owner *owner, unsigned int *id, uint64_t va, uint64_t len,
			 bool unmap, struct flush *f)
{
	uint64_t flags = spin_lock(&asi_lock);
	struct asi *asi = domain_next(id);

	while (asi && !asi_maps_owner(asi, owner))
		asi = domain_next(id);
	if (asi) {
		if (unmap)
			ptable_note_flush(&asi->pt, ptable_unmap(&asi->pt, va, len));
		*f = (struct flush){ OF_DOMAIN, asi, next_generation(asi, va, len) };
	}
	spin_unlock(&asi_lock, flags);
	return asi;
}

static void flush_owner(const struct mem_owner *owner, uint64_t va, uint64_t len, bool unmap)
{
	unsigned int id = 0;
	struct flush f;

	while (flush_one_of(owner, &id, va, len, unmap, &f))
		finish_domains(&f);
}

void asi_flush_owner(const struct mem_owner *owner, uint64_t va, uint64_t len)
{
	flush_owner(owner, va, len, false);
}

void shootdown_unmap(const struct mem_owner *owner, uint64_t va, uint64_t len)
{
	flush_owner(owner, va, len, true);
}

/* No generation of its own: what is shared counts as unmapped in each domain (decision 0011). */
void asi_flush_global(uint64_t va, uint64_t len)
{
	uint64_t flags = spin_lock(&asi_lock);
	struct flush f = { .kind = OF_DOMAINS, .gen = asi_last_gen + 1 };
	struct asi *asi;

	for_each_domain (asi)
		next_generation(asi, va, len);
	spin_unlock(&asi_lock, flags);
	finish_domains(&f);
}

/* CPUs in a restricted space are let be: before they use the unrestricted one again, they look. */
static void flush_host(void)
{
	struct flush f = { .kind = OF_HOST };

	f.gen = __atomic_add_fetch(&asi_host_gen, 1, __ATOMIC_SEQ_CST);
	cpu_serve();
	wait_for_others(&f);
}

void unmap_flush(enum mem_class class, const struct mem_owner *owner, uint64_t nr)
{
	flush_host();
	if (class == LOCAL)
		asi_flush_owner(owner, 0, ~0UL);
	else if (class == GLOBAL)
		asi_flush_global(0, ~0UL);
	ptable_note_flush(hostmap_ptable(), nr);
}

/* The fence: whoever asks has unmapped before, and must not be told of a time before that. */
uint64_t tlb_generation(void)
{
	memory_fence();
	return READ_ONCE(asi_flush_begun);
}

bool tlb_generation_passed(uint64_t gen)
{
	return __atomic_load_n(&asi_flush_ended, __ATOMIC_ACQUIRE) > gen;
}

void tlb_flush_generation(void)
{
	struct flush f = { .kind = OF_EVERYTHING };
	uint64_t ended = READ_ONCE(asi_flush_ended);

	f.gen = __atomic_add_fetch(&asi_flush_begun, 1, __ATOMIC_SEQ_CST);
	cpu_serve();
	wait_for_others(&f);
	/* Another CPU's, or an interrupt's, may have begun later and ended before. */
	while (ended < f.gen && !__atomic_compare_exchange_n(&asi_flush_ended, &ended, f.gen, false,
							     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

bool tlb_can_wait(void)
{
	/* A handler may have interrupted one that another CPU waits for. */
	return !this_cpu(locks_held) && !this_cpu(trap_depth);
}

void domain_retire(struct asi *asi)
{
	struct flush f = { OF_DOMAIN, asi, ~0UL };
	uint64_t flags = spin_lock(&asi_lock);

	asi_domains[asi->id] = NULL;
	spin_unlock(&asi_lock, flags);
	memory_fence();
	wait_for_others(&f);
}

/* What is wrong with a CPU's slot. One of a domain that has ended elsewhere is never loaded again: no matter. */
static const char *slot_wrong(const struct slot *slot)
{
	const struct asi *asi;

	if (slot->gen > asi_last_gen)
		return "a PCID slot with a generation that nobody has given out";
	for_each_domain (asi) {
		if (slot->asi == asi && slot->gen > asi->tlb_gen)
			return "a PCID slot flushed for a generation that is yet to come";
		if (asi->tlb_gen > asi_last_gen)
			return "a domain with a generation that nobody has given out";
	}
	return NULL;
}

const char *shootdown_wrong(void)
{
	const char *wrong = NULL;

	for_each_cpu (cpu, cpus_active())
		for (uint32_t i = 0; i < PCID_SLOTS && !wrong; i++)
			wrong = slot_wrong(&(*percpu_of(cpu, asi_slots))[i]);
	return wrong;
}
