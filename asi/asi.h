/* SPDX-License-Identifier: MIT */
/*
 * Address Space Isolation: the contract.
 *
 * Memory is sensitive or nonsensitive; an address space is unrestricted (maps
 * everything) or restricted (maps GLOBAL memory and one owner's LOCAL memory). A
 * domain (struct asi) is one restricted space and its rules; its class says whose it is.
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
#include "asi/stun.h"
#include "lib/assert.h"
#include "mm/class.h"
#include "mm/ptable.h"

struct self_page;

/* Whose code runs in a restricted space. The table is read-only: nobody registers, nothing changes. */
enum asi_class_id {
	ASI_GUEST_VM, /* any vCPU of a VM: maps all LOCAL memory of the VM */
	ASI_GUEST_VCPU, /* one vCPU: maps its own LOCAL memory and its VM's, not that of other vCPUs */
	ASI_IDLE,	/* a CPU that waits: maps GLOBAL memory only */
	ASI_CLASS_NR
};

struct asi_class {
	const char *name;
	bool runs_guest; /* untrusted code runs in it, so whoever leaves or enters it flushes */
	bool has_owner;	 /* of LOCAL memory */
	bool has_parent; /* and that owner has one, a VM's */
};
extern const struct asi_class asi_classes[ASI_CLASS_NR];

/* The last unmapping in a domain: who is exactly one generation behind drops only this. */
struct asi_unmapped {
	uint64_t since; /* generation before it */
	uint64_t va, len;
};

struct asi {
	const struct asi_class *class;
	uint32_t id;	       /* what its self page says: its owner's, or ASI_IDLE_ID */
	uint64_t serial;       /* no two domains ever have the same, not even at the same address */
	uint32_t refs;	       /* the VM, each vCPU that runs in it */
	bool strict;	       /* an unexpected crossing stops the guest instead of being served */
	bool has_root, shares; /* how far map_create came */
	struct mem_owner *owner; /* of the LOCAL memory this space maps, with its parent's */
	struct ptable pt;	 /* the restricted tables */
	struct self_page *self;
	uint64_t
		tlb_gen; /* new with each unmapping here; no two domains ever have the same. Written under asi_lock */
	struct asi_unmapped unmapped;
};

#define ASI_IDLE_ID (OWNER_MAX + 1)

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
	uint64_t tlb_flushes;	      /* explicit flushes of a whole PCID */
	uint64_t tlb_ranges;	      /* of a range, because nothing else was stale */
	uint64_t tlb_late; /* of them, those right before a VM entry: unmapped since the enter */
	uint64_t
		tlb_deferred; /* unmapped outside meanwhile, and flushed by the CR3 write that left */
	uint64_t kicks;	      /* sent to other CPUs for flushes */
	uint64_t kicks_avoided; /* not sent, since the CPU was where nothing had been unmapped */
	uint64_t l1d, verw, ibpb, rsb; /* flushes of asi/mitigate.c */
	uint64_t ibpb_missing;	       /* IBPB was due, but this CPU has none */
};

/* Builds what all domains share. With "asi=off" every asi_create makes no domain. Once, at boot. */
void asi_init(bool enabled);

/* The state of another CPU, which is in the unrestricted space. */
void asi_init_cpu(void);

/*
 * Makes a domain of @class: restricted root and local trees. It maps @owner's LOCAL memory, of which
 * there is none yet, and that of @owner's parent (no CPU gets or frees such memory meanwhile); idle has
 * no owner. *@out has one reference, or is NULL with ASI off. 0 or -ENOMEM. Unrestricted only.
 */
__must_check int asi_create(enum asi_class_id class, struct mem_owner *owner, struct asi **out);
/* One reference more; returns @asi. */
struct asi *asi_get(struct asi *asi);
/*
 * One less. With the last one the domain ends: all memory of its owner has been freed. It is current
 * nowhere but perhaps here, relaxed, or on CPUs that are about to leave: they are waited for, so no lock may be held.
 */
void asi_put(struct asi *asi);

/*
 * REQUIRED of vmm/strict.c: a handler of a guest whose domain is strict has met sensitive memory at @cr2;
 * unrestricted by now. Stops the guest, and lets @frame return elsewhere, so that the access is not made.
 */
struct trap_frame;
void asi_strict_stop(struct trap_frame *frame, uint64_t cr2);

/* Whether @asi maps the LOCAL memory of @owner: its own, or its parent's. */
static inline bool asi_maps_owner(const struct asi *asi, const struct mem_owner *owner)
{
	return asi->owner && owner && (asi->owner == owner || asi->owner->parent == owner);
}

/*
 * Panics, and names @what, unless @asi maps every page of [@hva, @hva + @len): for what a critical section
 * reaches by pointer, where a fault could not be served. Unrestricted.
 */
void asi_require_mapped(const struct asi *asi, const void *hva, size_t len, const char *what);

/* Whether untrusted code runs in @asi. */
static inline bool asi_runs_guest(const struct asi *asi)
{
	return asi->class->runs_guest;
}

/*
 * The state of this CPU. Written by asi/switch.c; asi_enter and asi_relax below do it inline, since
 * every VM exit pays for them.
 */
extern __percpu struct asi *asi_curr, *asi_target;
extern __percpu uint64_t asi_cr3, asi_cr3_gen;
extern __percpu struct asi_stats asi_stats;
/* Of asi/mitigate.c: the domain for which no flush is owed, or NULL. */
extern __percpu struct asi *asi_clean;

/*
 * Loads @asi's space: the part of asi_enter that is rarely needed. Panics on a base stack, which that space
 * does not map.
 */
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

/* Flushes what was unmapped in @asi, the current domain, since it was entered: the rare part of the next. */
void asi_catch_up(const struct asi *asi);

/*
 * Panics unless a VM entry is right now legal for @asi: curr = target = @asi, depth 0,
 * interrupts off, CR3 = @host_cr3, no flush owed, siblings told. The one choke point before every entry. What has been
 * unmapped since the enter is flushed.
 */
static inline void asi_check_entry(const struct asi *asi, uint64_t host_cr3)
{
	ASSERT(!asi || stun_has_begun());
	ASSERT(this_cpu(asi_curr) == asi && this_cpu(asi_target) == asi);
	ASSERT(read_cr3() == host_cr3);
	ASSERT(this_cpu(trap_depth) == 0 && !irqs_enabled());
	if (!asi)
		return;
	/* Who unmaps from here on has us kicked: the entry exits at once, and waits until we have been here again. */
	if (unlikely(this_cpu(asi_cr3_gen) != READ_ONCE(asi->tlb_gen)))
		asi_catch_up(asi);
	ASSERT(this_cpu(asi_clean) == asi);
}

/* The domain's id as the self page has it; 0 = unrestricted. Asks the MMU. */
uint32_t asi_self(void);
const struct asi_stats *asi_cpu_stats(void);
/* Those of another CPU, which may count on meanwhile. */
const struct asi_stats *asi_cpu_stats_of(uint32_t cpu);
/* Crossings of this CPU so far, all causes: to tell whether an exit stayed restricted. */
uint64_t asi_crossings(void);

/*
 * [@va, @va + @len) has been unmapped in @asi, in leaves of 2 MiB: returns when no CPU uses it any more. CPUs that are
 * in @asi drop it now, and are waited for, so no lock may be held; others do at their next enter. The unrestricted
 * space, which maps it still, is not concerned.
 */
void asi_flush_local(struct asi *asi, uint64_t va, uint64_t len);
/* The same in every domain that maps @owner's memory. */
void asi_flush_owner(const struct mem_owner *owner, uint64_t va, uint64_t len);
/* The same after an unmapping in what all domains share. */
void asi_flush_global(uint64_t va, uint64_t len);
/* Drops what this CPU, and no other, has of a page of @asi that it has just unmapped, current or not. Waits for nobody. */
void asi_drop_page(const struct asi *asi, uint64_t va);

/*
 * Bytes that @asi maps, by class; what of the RAM it does not map; and the table pages that are its own,
 * which no space maps. (Those of its local vmalloc range belong to the unrestricted space: map_create().)
 */
struct asi_surface {
	uint64_t text, rodata; /* of the image; the rest is nonsensitive data */
	uint64_t own;	       /* of local: this domain's own owner's, not its parent's */
	uint64_t image, global, local, vmalloc, metadata, percpu, device, total_ram, hidden;
	uint64_t tables;
};
void asi_surface(const struct asi *asi, struct asi_surface *out);
/* Table pages of all host tables: the unrestricted ones, those that domains share, and each domain's. */
uint64_t asi_table_pages(void);
