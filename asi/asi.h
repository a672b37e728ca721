/* SPDX-License-Identifier: MIT */
/*
 * Address Space Isolation: the contract.
 *
 * Memory is sensitive or nonsensitive; an address space is unrestricted (maps
 * everything) or restricted (maps GLOBAL memory and one owner's LOCAL memory). A
 * domain (struct asi) is one restricted space and its rules; here one per VM.
 *
 *   asi_enter(d)  from here to asi_relax() is the critical section: the CPU is in
 *                 d's restricted space, interrupts are off, and nothing sensitive
 *                 may be touched. A VM entry happens only inside it.
 *   asi_relax()   still restricted, but only by inertia: a page fault on sensitive
 *                 memory leaves for good (a crossing), and nobody goes back.
 *   asi_exit()    leaves now, on purpose, before sensitive work known beforehand.
 *
 * Four rules keep it right under interrupts and NMIs at any instruction:
 *   1. curr is set before CR3 becomes restricted and cleared after it stops being so.
 *   2. target is set before the switch: whoever interrupts and leaves comes back,
 *      at its outermost return (depth 0).
 *   3. hooks set state, they never toggle it: they may run twice, or interleaved.
 *   4. the self page answers from the MMU itself which space this is.
 *
 * Every function accepts NULL for a VM without ASI and then does nothing.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/trap.h"
#include "lib/assert.h"
#include "mm/class.h"
#include "mm/ptable.h"

struct self_page;

struct asi {
	struct mem_owner
		*owner;	  /* of the LOCAL memory this space maps; its id is the domain's number */
	struct ptable pt; /* the restricted tables */
	struct self_page *self;
	bool has_root, shares; /* how far map_create came */
	uint64_t tlb_gen;      /* new with each unmapping here; no two domains ever have the same */
};

/* Whether @asi maps the LOCAL memory of @owner. */
static inline bool asi_maps_owner(const struct asi *asi, const struct mem_owner *owner)
{
	return asi->owner == owner;
}

/* Why a crossing happened. */
enum asi_cause { ASI_BY_FAULT, ASI_BY_CALL, ASI_CAUSE_NR };

/* Counters of one CPU (nonsensitive; they hold no guest data). */
struct asi_stats {
	uint64_t enters;   /* into a restricted space: asi_enter calls that had to switch */
	uint64_t reenters; /* the same by the return of a handler that had left */
	uint64_t exits[ASI_CAUSE_NR]; /* crossings to the unrestricted space */
	uint64_t cr3_flush;	      /* CR3 writes that dropped translations */
	uint64_t cr3_noflush;	      /* CR3 writes that kept them */
	uint64_t spurious;	      /* faults that both walks allowed */
	uint64_t tlb_flushes;	      /* explicit flushes (INVPCID, INVLPG) */
};

/* Builds what all domains share. With "asi=off" every asi_create makes no domain. Once, at boot. */
void asi_init(bool enabled);

/*
 * Makes the domain that maps @owner's LOCAL memory, of which there is none yet: restricted
 * root and local trees. *@out is NULL with ASI off. 0 or -ENOMEM. Unrestricted only.
 */
__must_check int asi_create(struct mem_owner *owner, struct asi **out);
/* Drops the VM's reference; the domain must be current nowhere. All its memory has been freed. */
void asi_destroy(struct asi *asi);

/*
 * The state of this CPU. Written by asi/switch.c; asi_enter and asi_relax below do it inline, since
 * every VM exit pays for them.
 */
extern __percpu struct asi *asi_curr, *asi_target;
extern __percpu uint64_t asi_cr3, asi_cr3_gen;
extern __percpu struct asi_stats asi_stats;

/* Loads @asi's space: the part of asi_enter that is rarely needed. */
void asi_switch(struct asi *asi);

/*
 * Interrupts off, not inside a critical section of another domain. True if the CPU was in @asi's space
 * already: nothing has left since the last enter (an NMI that did has been undone at its return).
 */
static inline bool asi_enter(struct asi *asi)
{
	if (!asi)
		return false;
	this_cpu(asi_target) = asi;
	barrier();
	if (likely(this_cpu(asi_curr) == asi))
		return true;
	asi_switch(asi);
	return false;
}

static inline void asi_relax(void)
{
	barrier();
	this_cpu(asi_target) = NULL;
}

void asi_exit(void);

/* The domain this CPU is in (perhaps: over-approximates), NULL if certainly unrestricted. */
static inline struct asi *asi_current(void)
{
	return this_cpu(asi_curr);
}

/* The value of CR3 for the space that this CPU is in, PCID included: what VMCS HOST_CR3 must hold. */
static inline uint64_t asi_host_cr3(void)
{
	return this_cpu(asi_cr3);
}

/*
 * Panics unless a VM entry is right now legal for @asi: curr = target = @asi, depth 0,
 * interrupts off, CR3 = @host_cr3, no flush owed. The one choke point before every entry. Generations
 * are unique over all domains, so equal ones also say that CR3 was loaded for @asi.
 */
static inline void asi_check_entry(const struct asi *asi, uint64_t host_cr3)
{
	ASSERT(this_cpu(asi_curr) == asi && this_cpu(asi_target) == asi);
	ASSERT(read_cr3() == host_cr3);
	ASSERT(this_cpu(trap_depth) == 0 && !irqs_enabled());
	if (!asi)
		return;
	ASSERT(this_cpu(asi_cr3_gen) == asi->tlb_gen);
}

/* The domain's number as the self page has it; 0 = unrestricted. Asks the MMU. */
uint32_t asi_self(void);
const struct asi_stats *asi_cpu_stats(void);
/* Crossings of this CPU so far, all causes: to tell whether an exit stayed restricted. */
uint64_t asi_crossings(void);

/*
 * After an unmapping in @asi's local part: flushes if this CPU is in it, else at its next entry. What
 * is shared or unrestricted is flushed by tlb_flush_all().
 */
void asi_flush_local(struct asi *asi);

/*
 * Bytes that @asi maps, by class; what of the RAM it does not map; and the table pages that are its own,
 * which no space maps. (Those of its local vmalloc range belong to the unrestricted space: map_create().)
 */
struct asi_surface {
	uint64_t image, global, local, vmalloc, metadata, percpu, device, total_ram, hidden;
	uint64_t tables;
};
void asi_surface(const struct asi *asi, struct asi_surface *out);
/* Table pages of all host tables: the unrestricted ones, those that domains share, and each domain's. */
uint64_t asi_table_pages(void);

/* One row of the crossing table: faults by the instruction that met sensitive memory. */
struct asi_crossing {
	uint64_t rip, address, count;
};
/* The i-th row, most recent table order; false behind the last. */
bool asi_crossing_get(unsigned int i, struct asi_crossing *out);
