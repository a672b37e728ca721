/* SPDX-License-Identifier: MIT */
/*
 * What NMI torture runs. Domains, words and all else come from struct torture: between asi_enter
 * and asi_relax nothing sensitive may be touched, so no static of ours either.
 */
#include "arch/insn.h"
#include "boot/torture_internal.h"
#include "boot/torture_vectors.h"
#include "mm/quarantine.h"

static uint64_t enter(struct torture *t)
{
	asi_enter(t->domain[0]);
	return 0;
}

static uint64_t relax(struct torture *t)
{
	(void)t;
	asi_relax();
	return 0;
}

static uint64_t leave(struct torture *t)
{
	(void)t;
	asi_exit();
	return 0;
}

static uint64_t read_sensitive(struct torture *t)
{
	return *t->sensitive;
}

/* A handler that faults, and so leaves: it may be interrupted anywhere, its fault's handler too. */
static uint64_t own_handler(struct torture *t)
{
	t->own = true;
	int_vector(TORTURE_OWN);
	return t->own;
}

/* The same as an NMI's; from its fault's IRET on the next NMI may come. */
static uint64_t own_nmi(struct torture *t)
{
	t->own = true;
	int_nmi();
	return t->own;
}

static uint64_t flush_local(struct torture *t)
{
	asi_flush_local(t->domain[0], 0, ~0UL);
	return 0;
}

static uint64_t flush_all(struct torture *t)
{
	(void)t;
	tlb_flush_generation();
	return 0;
}

/* Two VM exits as vmm/run.c serves them; the first crosses. The check panics where an entry would not be legal. */
static uint64_t vm_exits(struct torture *t)
{
	struct asi *a = t->domain[0];
	uint64_t word;

	asi_enter(a);
	asi_check_entry(a, asi_host_cr3());
	asi_relax();
	word = read_sensitive(t);
	asi_enter(a);
	asi_check_entry(a, asi_host_cr3());
	asi_relax();
	return word;
}

const struct torture_scenario torture_scenarios[] = {
	{ "enter", FROM_OUT, TO_TENSE, 0, enter, { "asi_switch" } },
	{ "enter, flush owed", FROM_STALE, TO_TENSE, WITH_FLUSH, enter, { "asi_switch" } },
	{ "enter, PCID taken", FROM_EVICTED, TO_TENSE, WITH_FLUSH, enter, { "asi_switch" } },
	{ "enter from another", FROM_B, TO_TENSE, 0, enter, { "asi_switch" } },
	{ "enter again", FROM_RELAXED, TO_TENSE, 0, enter, { "enter" } },
	{ "enter twice", FROM_TENSE, TO_TENSE, 0, enter, { "enter" } },
	{ "relax", FROM_TENSE, TO_RELAXED, 0, relax, { "relax" } },
	{ "exit", FROM_RELAXED, TO_OUT, 0, leave, { "asi_exit", "switch_exit" } },
	{ "exit, interrupts on",
	  FROM_RELAXED,
	  TO_OUT,
	  WITH_IRQS,
	  leave,
	  { "asi_exit", "switch_exit" } },
	{ "crossing",
	  FROM_RELAXED,
	  TO_OUT,
	  WITH_IRQS,
	  read_sensitive,
	  { "trap_stubs", "trap_common", "trap_dispatch", "fault_fixup", "switch_exit" } },
	{ "handler leaves, goes back",
	  FROM_TENSE,
	  TO_TENSE,
	  0,
	  own_handler,
	  { "trap_stubs", "trap_common", "trap_dispatch", "fault_fixup", "asi_intr_exit" } },
	{ "handler leaves for good",
	  FROM_RELAXED,
	  TO_OUT,
	  WITH_IRQS,
	  own_handler,
	  { "trap_stubs", "trap_common", "trap_dispatch", "fault_fixup", "asi_intr_exit" } },
	{ "NMI leaves, goes back",
	  FROM_TENSE,
	  TO_TENSE,
	  WITH_NMI,
	  own_nmi,
	  { "trap_common", "trap_dispatch", "asi_intr_exit" } },
	{ "flush, tense",
	  FROM_TENSE,
	  TO_TENSE,
	  WITH_FLUSH,
	  flush_local,
	  { "asi_flush_local", "tlb_flush_pcid" } },
	{ "flush, relaxed",
	  FROM_RELAXED,
	  TO_RELAXED,
	  WITH_IRQS | WITH_FLUSH,
	  flush_local,
	  { "asi_flush_local", "tlb_flush_pcid" } },
	{ "flush, in another",
	  FROM_B,
	  TO_RELAXED,
	  WITH_IRQS | WITH_FLUSH,
	  flush_local,
	  { "asi_flush_local" } },
	{ "flush, out",
	  FROM_OUT,
	  TO_OUT,
	  WITH_IRQS | WITH_FLUSH,
	  flush_local,
	  { "asi_flush_local" } },
	{ "flush of everything",
	  FROM_RELAXED,
	  TO_RELAXED,
	  WITH_IRQS,
	  flush_all,
	  { "tlb_flush_generation", "tlb_flush_all" } },
	{ "two VM exits",
	  FROM_B,
	  TO_RELAXED,
	  0,
	  vm_exits,
	  { "vm_exits", "asi_switch", "fault_fixup" } },
	{ "registers, tense", FROM_TENSE, TO_TENSE, 0, torture_registers, { "torture_registers" } },
	{ "registers, relaxed",
	  FROM_RELAXED,
	  TO_RELAXED,
	  WITH_IRQS,
	  torture_registers,
	  { "torture_registers" } },
	{ .name = NULL },
};
