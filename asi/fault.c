/* SPDX-License-Identifier: MIT */
/*
 * Page faults of the hypervisor. A miss of the restricted space is served by leaving it; everything
 * else is our bug. The decision is made from both walks, never guessed (asi.md, "Page-fault path").
 */
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "asi/crossing.h"
#include "asi/internal.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/hostmap.h"

#define NO_PROGRESS_MAX 8 /* the same RIP and CR2 in a row: a fault inside a critical region */

/* What a walk of present mappings can never mend. */
#define PF_FATAL (PF_USER | PF_RSVD | PF_PK | PF_SS | PF_SGX)

static __percpu uint64_t fault_rip, fault_cr2, fault_enters;
static __percpu uint32_t fault_repeats;

/* Whether a supervisor access with @error would succeed by this walk; no mapping of ours is a user's. */
static bool walk_allows(const struct pt_walk *w, uint64_t error)
{
	if (!w->present || w->entry & PTE_U)
		return false;
	if (error & PF_WRITE && !(w->rights & PTE_W))
		return false;
	return !(error & PF_FETCH && w->rights & PTE_NX);
}

static void print_walk(const char *name, const struct pt_walk *w)
{
	log_info("  %s: %s, level %u, entry 0x%016lx", name, w->present ? "present" : "absent",
		 w->level, w->entry);
}

static bool no_progress(uint64_t rip, uint64_t cr2)
{
	uint64_t enters = asi_cpu_stats()->enters; /* another exit is progress */

	if (this_cpu(fault_rip) != rip || this_cpu(fault_cr2) != cr2 ||
	    this_cpu(fault_enters) != enters) {
		this_cpu(fault_enters) = enters;
		this_cpu(fault_rip) = rip;
		this_cpu(fault_cr2) = cr2;
		this_cpu(fault_repeats) = 0;
	}
	return ++this_cpu(fault_repeats) > NO_PROGRESS_MAX;
}

/* Who called the function that was interrupted, as far as its frame can be read. */
static uint64_t caller_of(const struct trap_frame *f)
{
	/* The ABI aligns frames, so that both words lie on one page. */
	if (f->rbp % 16 || !panic_can_read(f->rbp))
		return 0;
	return ((const uint64_t *)f->rbp)[1];
}

/*
 * Nothing unmaps while it is accessed, so in the unrestricted space a fault that its tables do not
 * explain was one of a restricted space, which an NMI has left before we could see it: retry.
 */
static bool left_meanwhile(uint64_t cr2, uint64_t error)
{
	struct pt_walk full = ptable_walk(hostmap_ptable(), cr2);

	if (!walk_allows(&full, error))
		return false;
	switch_note_spurious();
	return true;
}

/* What faulted serves a guest's exit: no critical section, nor an interrupt's handler on top. */
static bool is_guests_handler(void)
{
	return !this_cpu(asi_target) && this_cpu(trap_depth) == 1;
}

/* Reads no canary: a fault on it, here, would be one for ever. */
__no_stack_protector bool fault_fixup(struct trap_frame *f, uint64_t cr2)
{
	/* Sampled before leaving: the space that the access really met, unless an NMI has left since. */
	struct asi *asi = asi_current();
	struct pt_walk full, restricted;
	bool stuck = no_progress(f->rip, cr2);

	if (!asi)
		return switch_enabled() && !stuck && !(f->error_code & PF_FATAL) &&
		       left_meanwhile(cr2, f->error_code);
	/* The tables themselves are sensitive, so the walks need the unrestricted space. */
	switch_exit(ASI_BY_FAULT);
	full = ptable_walk(hostmap_ptable(), cr2);
	restricted = ptable_walk(&asi->pt, cr2);
	if (!(f->error_code & PF_FATAL) && !stuck && walk_allows(&full, f->error_code)) {
		crossing_note(ASI_BY_FAULT, asi, f->rip, caller_of(f), cr2, f->error_code);
		if (walk_allows(&restricted, f->error_code))
			switch_note_spurious(); /* a translation that was stale: retry */
		else if (asi->strict && is_guests_handler())
			asi_strict_stop(f, cr2);
		return true;
	}
	log_info("fault in the restricted space of domain %u that leaving it does not serve%s",
		 asi->id, stuck ? ": no progress" : "");
	print_walk("unrestricted walk", &full);
	print_walk("restricted walk  ", &restricted);
	return false;
}
