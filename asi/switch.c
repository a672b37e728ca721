/* SPDX-License-Identifier: MIT */
/*
 * The state machine: enter, relax, exit, and what interrupts do to it. Three words per CPU:
 *
 *   curr    domain whose tables CR3 may hold. Over-approximates: set before CR3 becomes
 *           restricted, cleared after it has stopped being so.
 *   target  domain that must be loaded when the outermost handler returns.
 *   depth   handlers nested (arch/trap.h), counted in the vector stubs.
 *
 * And three that say what the TLB holds, for other CPUs that unmap (shootdown.c):
 *
 *   cr3_gen    generation of curr's translations; 0 while CR3 and curr may differ.
 *   host_on    whether PCID 0 may be in use: set before CR3 becomes unrestricted, cleared after it
 *              has stopped being so.
 *   host_seen  generation of PCID 0's translations.
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
#include "asi/crossing.h"
#include "asi/internal.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "mm/hostmap.h"

/* A longer unmapping is flushed whole: as many INVPCIDs would cost more than the misses. */
#define RANGE_MAX (32 * PAGEBLOCK_SIZE)

__percpu struct asi *asi_curr, *asi_target;
__percpu uint64_t asi_cr3;     /* as loaded now, without the no-flush bit */
__percpu uint64_t asi_cr3_gen; /* generation of the domain's translations in it */
__percpu uint64_t asi_host_on = 1, asi_host_seen, asi_all_seen;
__percpu struct asi_stats asi_stats;
__percpu struct slot asi_slots[PCID_SLOTS];
static __percpu uint32_t asi_victim_slot;
static __percpu uint64_t asi_unrestricted_cr3;
static __nonsensitive bool asi_enabled;

void switch_init(bool on)
{
	asi_enabled = on;
	asi_init_cpu();
}

void asi_init_cpu(void)
{
	this_cpu(asi_cr3) = this_cpu(asi_unrestricted_cr3) = hostmap_cr3();
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

const struct asi_stats *asi_cpu_stats_of(uint32_t cpu)
{
	return percpu_of(cpu, asi_stats);
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

		for (i = 0; i < PCID_SLOTS; i++)
			if (this_cpu(asi_slots[i]).asi == asi)
				return i;
		i = this_cpu(asi_victim_slot);
		this_cpu(asi_slots[i]).gen = 0; /* no domain's generation: flushed when loaded */
		barrier();
		this_cpu(asi_slots[i]).asi = asi;
		this_cpu(asi_victim_slot) = (i + 1) % PCID_SLOTS;
	}
}

static uint64_t pcid_of(uint32_t slot)
{
	return tlb_has_pcid() ? slot + 1 : 0;
}

/*
 * Drops the last unmapping of @asi from its slot's PCID, if that, a short one, is all that @seen lacks of @gen, and
 * says so. Another CPU's next unmapping writes @since first (shootdown.c): a record that changes while it is read
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
	this_cpu(asi_host_on) = 0;
}

static void switch_to(struct asi *asi)
{
	/* Until CR3 is written nobody may take us for out of the domain that we come from, nor for up to date in @asi. */
	this_cpu(asi_cr3_gen) = 0;
	/*
	 * A fence too: either we see the new generation of a flusher's, or the flusher, who has one between the
	 * generation and its look, sees us in curr. The order also serves NMIs here.
	 */
	this_cpu_xchg(asi_curr, asi);
	load_restricted(asi);
	mitigate_enter(asi);
	stun_entered();
}

void asi_switch(struct asi *asi)
{
	ASSERT(!irqs_enabled() && !stack_is_sensitive(__builtin_frame_address(0)));
	this_cpu(asi_stats).enters++;
	switch_to(asi);
}

/* Writes CR3 for the unrestricted space, keeping its translations unless something was unmapped while we were out. */
static void load_unrestricted(void)
{
	uint64_t cr3 = this_cpu(asi_unrestricted_cr3), gen;
	bool keep;

	/* A fence too: either we see the generation, or who has unmapped sees us, and waits until host_seen says it. */
	this_cpu_xchg(asi_host_on, 1);
	gen = READ_ONCE(asi_host_gen);
	keep = tlb_has_pcid() && this_cpu(asi_host_seen) == gen;
	write_cr3(cr3 | (keep ? CR3_NOFLUSH : 0));
	if (keep) {
		this_cpu(asi_stats).cr3_noflush++;
	} else {
		this_cpu(asi_stats).cr3_flush++;
		this_cpu(asi_stats).tlb_deferred += this_cpu(asi_host_seen) != gen;
		this_cpu(asi_host_seen) = gen;
	}
	this_cpu(asi_cr3) = cr3;
}

void switch_exit(enum asi_cause cause)
{
	uint64_t flags = irq_save();

	if (this_cpu(asi_curr)) {
		stun_leave(); /* first: what follows is for this thread alone to know */
		mitigate_leave();
		load_unrestricted();
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

/*
 * Brings this CPU's translations of @asi up to date, which it is in; what it was to see is read before it is flushed,
 * and recorded behind.
 */
static void catch_up(const struct asi *asi)
{
	uint64_t gen = READ_ONCE(asi->tlb_gen);

	for (uint32_t i = 0; i < PCID_SLOTS; i++) {
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

void asi_catch_up(const struct asi *asi)
{
	this_cpu(asi_stats).tlb_late++;
	catch_up(asi);
}

/*
 * An NMI in here may leave, which does the same: then it is done twice. Nothing is done for a domain that is just
 * being entered, by what this interrupts: it will see the generation.
 */
void cpu_serve(void)
{
	uint64_t begun = READ_ONCE(asi_flush_begun), host = READ_ONCE(asi_host_gen);
	const struct asi *curr = this_cpu(asi_curr);

	if (unlikely(this_cpu(asi_all_seen) != begun)) {
		tlb_flush_all();
		this_cpu(asi_all_seen) = begun;
	}
	if (this_cpu(asi_host_on) && this_cpu(asi_host_seen) != host) {
		tlb_flush_pcid(0);
		this_cpu(asi_host_seen) = host;
	}
	if (curr && this_cpu(asi_cr3_gen) && this_cpu(asi_cr3_gen) != READ_ONCE(curr->tlb_gen))
		catch_up(curr);
}

void asi_drop_page(const struct asi *asi, uint64_t va)
{
	for (uint32_t i = 0; asi && i < PCID_SLOTS; i++)
		if (this_cpu(asi_slots[i]).asi == asi)
			tlb_flush_pcid_page(pcid_of(i), va);
}

void switch_forget(const struct asi *asi)
{
	for (uint32_t i = 0; i < PCID_SLOTS; i++)
		if (this_cpu(asi_slots[i]).asi == asi)
			this_cpu(asi_slots[i]) = (struct slot){ NULL, 0 };
}
