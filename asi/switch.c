/* SPDX-License-Identifier: MIT */
/*
 * The state machine: enter, relax, exit, and what interrupts do to it. Three words per CPU:
 *
 *   curr    domain whose tables CR3 may hold. Over-approximates: set before CR3 becomes
 *           restricted, cleared after it has stopped being so.
 *   target  domain that must be loaded when the outermost handler returns.
 *   depth   handlers nested (arch/trap.h), counted in the vector stubs.
 *
 * An NMI between any two statements may enter or exit itself. With the orders below its act is
 * at worst redundant: whoever was interrupted repeats the CR3 write and the hook.
 */
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/stack.h"
#include "arch/tlb.h"
#include "arch/trace.h"
#include "asi/crossing.h"
#include "asi/internal.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "mm/hostmap.h"
#include "mm/quarantine.h"

/* PCID 0 is the unrestricted space; slot n has PCID n + 1. */
#define SLOTS 6

/* A longer unmapping is flushed whole: as many INVPCIDs would cost more than the misses. */
#define RANGE_MAX (32 * PAGEBLOCK_SIZE)

struct slot {
	const struct asi *asi; /* NULL: free */
	uint64_t gen;	       /* of asi->tlb_gen, when last flushed */
};

__percpu struct asi *asi_curr, *asi_target;
__percpu uint64_t asi_cr3;     /* as loaded now, without the no-flush bit */
__percpu uint64_t asi_cr3_gen; /* generation of the domain's translations in it */
__percpu struct asi_stats asi_stats;
static __percpu struct slot asi_slots[SLOTS];
static __percpu uint32_t asi_victim_slot;
static __percpu uint64_t asi_unrestricted_cr3;
static __nonsensitive bool asi_enabled;

/*
 * The last TLB generation given out, to any domain: a PCID slot that still remembers a dead domain, or
 * another one, can then never look up to date.
 */
static __nonsensitive uint64_t asi_last_gen;

/*
 * Generations of flushes of everything: the last one begun, and the last one ended. What is read
 * between, is of the one begun, perhaps too late for it, and so waits for the next.
 */
static __nonsensitive uint64_t asi_flush_begun, asi_flush_ended;

void switch_init(bool on)
{
	asi_enabled = on;
	asi_init_cpu();
}

void asi_init_cpu(void)
{
	this_cpu(asi_cr3) = this_cpu(asi_unrestricted_cr3) = hostmap_cr3();
}

uint64_t switch_next_gen(void)
{
	return __atomic_add_fetch(&asi_last_gen, 1, __ATOMIC_SEQ_CST);
}

bool switch_enabled(void)
{
	return asi_enabled;
}

uint32_t asi_self(void)
{
	return ((const volatile struct self_page *)SELF_PAGE)->domain;
}

const struct asi_stats *asi_cpu_stats(void)
{
	return this_cpu_ptr(asi_stats);
}

uint64_t asi_crossings(void)
{
	return this_cpu(asi_stats).exits[ASI_BY_FAULT] + this_cpu(asi_stats).exits[ASI_BY_CALL];
}

/*
 * The number of @asi's slot on this CPU; without one it takes a victim's, which then owes a flush. An
 * NMI may need the same at any point: it never finds @asi in a slot that owes none, and if both
 * have taken one, then both use the lower.
 */
static uint32_t slot_find(const struct asi *asi)
{
	for (;;) {
		uint32_t i;

		for (i = 0; i < SLOTS; i++)
			if (this_cpu(asi_slots[i]).asi == asi)
				return i;
		i = this_cpu(asi_victim_slot);
		this_cpu(asi_slots[i]).gen = 0; /* no domain's generation: flushed when loaded */
		barrier();
		this_cpu(asi_slots[i]).asi = asi;
		this_cpu(asi_victim_slot) = (i + 1) % SLOTS;
	}
}

static uint64_t pcid_of(uint32_t slot)
{
	return tlb_has_pcid() ? slot + 1 : 0;
}

/*
 * Drops the last unmapping of @asi from its slot's PCID, if that, a short one, is all that @seen lacks of @gen, and
 * says so. Another CPU's next unmapping writes @since first: a record that changes while it is read
 * fails the test behind. The PCID is named: an NMI may have left the restricted space.
 */
static bool flush_range(const struct asi *asi, uint32_t slot, uint64_t seen, uint64_t gen)
{
	uint64_t va = READ_ONCE(asi->unmapped.va), len = READ_ONCE(asi->unmapped.len);

	if (READ_ONCE(asi->unmapped.since) != seen || len > RANGE_MAX ||
	    READ_ONCE(asi->tlb_gen) != gen)
		return false;
	for (uint64_t at = 0; at < len; at += PAGEBLOCK_SIZE)
		tlb_flush_pcid_page(pcid_of(slot), va + at);
	this_cpu(asi_stats).tlb_ranges++;
	return true;
}

/* Writes CR3 for @asi, keeping what translations are not stale: those that are go before anyone can use them. */
static void load_restricted(const struct asi *asi)
{
	uint32_t slot = slot_find(asi);
	uint64_t cr3 = asi->pt.root.v | pcid_of(slot), gen = READ_ONCE(asi->tlb_gen);
	uint64_t seen = this_cpu(asi_slots[slot]).gen;
	bool keep = tlb_has_pcid() && (seen == gen || flush_range(asi, slot, seen, gen));

	write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0));
	if (keep)
		this_cpu(asi_stats).cr3_noflush++;
	else
		this_cpu(asi_stats).cr3_flush++;
	/* As read before the flush: perhaps old by now, then we flush once more. */
	this_cpu(asi_slots[slot]).gen = gen;
	this_cpu(asi_cr3) = cr3;
	this_cpu(asi_cr3_gen) = gen;
}

static void switch_to(struct asi *asi)
{
	this_cpu(asi_curr) = asi;
	/*
	 * Pairs with the fence in asi_flush_local(): either we see the new generation, or the
	 * flusher sees us in curr. Needed from the second CPU on; the order also serves NMIs here.
	 */
	memory_fence();
	load_restricted(asi);
	mitigate_enter(asi);
}

void asi_switch(struct asi *asi)
{
	ASSERT(!irqs_enabled() && !stack_is_sensitive(__builtin_frame_address(0)));
	this_cpu(asi_stats).enters++;
	switch_to(asi);
}

void switch_exit(enum asi_cause cause)
{
	uint64_t flags = irq_save();

	if (this_cpu(asi_curr)) {
		mitigate_leave();
		/* Nothing unmaps in the unrestricted space without flushing at once: never a flush owed. */
		write_cr3(this_cpu(asi_unrestricted_cr3) | (tlb_has_pcid() ? CR3_NOFLUSH : 0));
		if (tlb_has_pcid())
			this_cpu(asi_stats).cr3_noflush++;
		else
			this_cpu(asi_stats).cr3_flush++;
		this_cpu(asi_cr3) = this_cpu(asi_unrestricted_cr3);
		this_cpu(asi_stats).exits[cause]++;
		barrier();
		this_cpu(asi_curr) = NULL;
	}
	irq_restore(flags);
}

static void exit_by_call(uint64_t caller)
{
	const struct asi *asi = this_cpu(asi_curr);

	if (!asi)
		return;
	switch_exit(ASI_BY_CALL);
	crossing_note(ASI_BY_CALL, asi, caller, 0, 0, 0);
}

void asi_exit(void)
{
	/* In a critical section the next interrupt would undo it. */
	ASSERT(!this_cpu(asi_target) || this_cpu(trap_depth));
	exit_by_call((uint64_t)__builtin_return_address(0));
}

void trap_leave_restricted(void)
{
	exit_by_call((uint64_t)__builtin_return_address(0));
}

void switch_note_spurious(void)
{
	this_cpu(asi_stats).spurious++;
}

/* Depth is 0 again, registers of the interrupted code still saved. */
void asi_intr_exit(void)
{
	struct asi *target = this_cpu(asi_target);

	if (target && this_cpu(asi_curr) != target) {
		this_cpu(asi_stats).reenters++;
		switch_to(target);
	}
}

void asi_flush_local(struct asi *asi, uint64_t va, uint64_t len)
{
	uint64_t removed, gen, flags, begin;

	if (!asi)
		return;
	begin = rdtsc();
	removed = READ_ONCE(asi->pt.nr_removed);
	flags = spin_lock(&asi->lock);
	gen = switch_next_gen();
	WRITE_ONCE(asi->unmapped.since, asi->tlb_gen);
	barrier();
	WRITE_ONCE(asi->unmapped.va, va);
	WRITE_ONCE(asi->unmapped.len, len);
	barrier();
	WRITE_ONCE(asi->tlb_gen, gen);
	spin_unlock(&asi->lock, flags);
	memory_fence();
	ptable_note_flush(&asi->pt, removed); /* nobody enters any more without a flush */
	if (!this_cpu(asi_curr))
		trace_note(TRACE_SHOOTDOWN, trace_duration(begin, 0));
	if (this_cpu(asi_curr) != asi)
		return; /* its slot is behind: flushed when loaded */
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (this_cpu(asi_slots[i]).asi != asi)
			continue;
		if (!flush_range(asi, i, this_cpu(asi_slots[i]).gen, gen)) {
			tlb_flush_pcid(pcid_of(i));
			this_cpu(asi_stats).tlb_flushes++;
		}
		/* As of before the flush: whoever unmaps meanwhile makes us flush again. */
		this_cpu(asi_slots[i]).gen = this_cpu(asi_cr3_gen) = gen;
	}
}

void asi_flush_owner(const struct mem_owner *owner, uint64_t va, uint64_t len)
{
	struct asi *asi;

	for_each_domain (asi)
		if (asi_maps_owner(asi, owner))
			asi_flush_local(asi, va, len);
}

/* No generation of its own: what is shared counts as unmapped in each domain (decision 0011). */
void asi_flush_global(uint64_t va, uint64_t len)
{
	struct asi *asi;

	for_each_domain (asi)
		asi_flush_local(asi, va, len);
}

/* The fence: whoever asks has unmapped before, and must not be told of a time before that. */
uint64_t tlb_generation(void)
{
	memory_fence();
	return READ_ONCE(asi_flush_begun);
}

bool tlb_generation_passed(uint64_t gen)
{
	return READ_ONCE(asi_flush_ended) > gen;
}

/* One CPU, the others are parked (decision 0014): there is nobody to wait for. An interrupt may flush in between, with a later generation. */
void tlb_flush_generation(void)
{
	uint64_t gen = __atomic_add_fetch(&asi_flush_begun, 1, __ATOMIC_SEQ_CST), flags;

	tlb_flush_all();
	flags = irq_save();
	if (asi_flush_ended < gen)
		WRITE_ONCE(asi_flush_ended, gen);
	irq_restore(flags);
}

/* Nobody waits for another CPU yet. */
void cpu_serve(void)
{
}

bool tlb_can_wait(void)
{
	return true; /* one CPU, and parked ones */
}

static bool is_domain(const struct asi *asi)
{
	const struct asi *other;

	for_each_domain (other)
		if (other == asi)
			return true;
	return false;
}

const char *switch_wrong(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct slot *slot = &this_cpu_ptr(asi_slots)[0][i];

		if (!slot->asi)
			continue;
		if (!is_domain(slot->asi))
			return "a PCID slot of a domain that has ended";
		if (slot->gen > slot->asi->tlb_gen)
			return "a PCID slot flushed for a generation that is yet to come";
		if (slot->asi->tlb_gen > asi_last_gen)
			return "a domain with a generation that nobody has given out";
	}
	return NULL;
}

void switch_forget(const struct asi *asi)
{
	mitigate_forget(asi);
	for (uint32_t i = 0; i < SLOTS; i++)
		if (this_cpu(asi_slots[i]).asi == asi)
			this_cpu(asi_slots[i]) = (struct slot){ NULL, 0 };
}
