/* SPDX-License-Identifier: MIT */
/*
 * The table, and the taints of this CPU. NMIs may come between any two statements; orders are as follows.
 *
 *   data      cleared, then flushed. An NMI in between that leaves sets the taint again, and its return
 *             enters again: it flushes, we flush once more.
 *   control   flushed, then cleared. An NMI in between that leaves finds the taint still there, and
 *             flushes before it goes; no guest can have run meanwhile.
 *   clean     NULL before anything that ends it, the domain after all is done.
 */
#include "asi/mitigate.h"
#include "arch/insn.h"
#include "arch/layout.h"
#include "arch/percpu.h"
#include "arch/trace.h"
#include "asi/internal.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"

#define L1D_BUFFER_MIN KiB(64) /* twice the L1D of every CPU that needs a flush in software */

enum transition {
	TO_GUEST,	 /* into a domain that runs a guest: from outside, or from another domain */
	TO_IDLE,	 /* into one that runs none, where siblings run guests meanwhile */
	TO_UNRESTRICTED, /* out of any domain */
	EACH_ENTRY,	 /* a VM entry, where transitions do not protect the VM */
	EACH_EXIT,	 /* the same, a VM exit */
	TRANSITION_NR,
};

#define DATA	(FLUSH_L1D | FLUSH_VERW)
#define CONTROL (FLUSH_IBPB | FLUSH_RSB)

/* THE table. What is not named is nothing: a domain's guest may meet what is its own. */
static const uint8_t table[TRANSITION_NR][TAINT_NR] = {
	[TO_GUEST] = {
		[TAINT_SENSITIVE_DATA] = DATA,
		[TAINT_OTHER_DATA] = DATA,
		[TAINT_OTHER_CONTROL] = CONTROL,
	},
	[TO_IDLE] = {
		[TAINT_SENSITIVE_DATA] = DATA,
		[TAINT_OTHER_DATA] = FLUSH_VERW,
	},
	[TO_UNRESTRICTED] = {
		[TAINT_GUEST_CONTROL] = CONTROL,
		[TAINT_OTHER_CONTROL] = CONTROL,
	},
	[EACH_ENTRY] = { [TAINT_SENSITIVE_DATA] = DATA },
	[EACH_EXIT] = { [TAINT_GUEST_CONTROL] = CONTROL },
};

/* Which rows of the table a mode uses, for VMs with a domain and without one. */
static const struct {
	uint8_t with_domain, without;
} modes[MITIGATE_MODES] = {
	[MITIGATE_NONE] = { 0, 0 },
	[MITIGATE_ENTRY] = { BIT(EACH_ENTRY), BIT(EACH_ENTRY) },
	[MITIGATE_EXIT] = { BIT(EACH_EXIT), BIT(EACH_EXIT) },
	[MITIGATE_ASI] = { BIT(TO_GUEST) | BIT(TO_IDLE) | BIT(TO_UNRESTRICTED),
			   BIT(EACH_ENTRY) | BIT(EACH_EXIT) },
	[MITIGATE_AUTO] = { BIT(TO_GUEST) | BIT(TO_IDLE) | BIT(TO_UNRESTRICTED),
			    BIT(EACH_ENTRY) | BIT(EACH_EXIT) },
};

/* Decided at boot, for all CPUs. */
static __nonsensitive struct {
	uint8_t with_domain, without; /* rows in use */
	uint8_t flushes;	      /* that are done */
	uint8_t missing;	      /* wanted and needed, but this CPU has none */
	uint8_t tracked;	      /* taints that a transition will clear */
} mitigate_policy;

/*
 * Of enum taint the first three are kept; whose guest they are of stands beside, by a number: it may have ended, here
 * or on another CPU, and a new one have come to its address. As what another
 * domain sees them is seen_by()'s.
 */
static __percpu uint32_t asi_taints;
static __percpu uint64_t asi_taints_of; /* a domain's serial */
__percpu struct asi *asi_clean;

static struct mitigation_cpu cpu_found;
static enum mitigate_mode mode_chosen;

static uint32_t seen_by(const struct asi *asi)
{
	const uint32_t guest = BIT(TAINT_GUEST_DATA) | BIT(TAINT_GUEST_CONTROL);
	uint32_t t = this_cpu(asi_taints);

	if (this_cpu(asi_taints_of) == asi->serial)
		return t;
	return (t & ~guest) | (t & guest) << (TAINT_OTHER_DATA - TAINT_GUEST_DATA);
}

/* The flushes that the table names for a set of taints. */
static unsigned int owed(enum transition transition, uint32_t set)
{
	unsigned int flushes = 0;

	for (; set; set &= set - 1)
		flushes |= table[transition][bit_lowest(set)];
	return flushes;
}

static void count(unsigned int wanted)
{
	unsigned int done = wanted & mitigate_policy.flushes;

	this_cpu(asi_stats).l1d += (done & FLUSH_L1D) != 0;
	this_cpu(asi_stats).verw += (done & FLUSH_VERW) != 0;
	this_cpu(asi_stats).ibpb += (done & FLUSH_IBPB) != 0;
	this_cpu(asi_stats).rsb += (done & FLUSH_RSB) != 0;
	this_cpu(asi_stats).ibpb_missing += (wanted & mitigate_policy.missing & FLUSH_IBPB) != 0;
}

static void flush(unsigned int wanted)
{
	unsigned int flushes = wanted & mitigate_policy.flushes;

	if (!wanted)
		return;
	count(wanted); /* before: what follows a flush would be in the caches again */
	if (flushes)
		trace_local(this_cpu(asi_curr), TRACE_FLUSH, flushes);
	mitigation_flush(flushes);
}

static void taint(uint32_t set)
{
	this_cpu(asi_taints) |= set & mitigate_policy.tracked;
}

/*
 * The taints wait for a domain that runs a guest; but a sibling's may run from now on, read what this thread has left
 * in the core, and leave there what a guest may read that this thread enters next: so they stay. And it may train
 * what this thread predicts by.
 */
static void enter_idle(const struct asi *asi)
{
	if (!this_cpu(stun_core))
		return;
	flush(owed(TO_IDLE, seen_by(asi)));
	taint(BIT(TAINT_GUEST_CONTROL));
}

void mitigate_park(void)
{
	flush(owed(TO_IDLE, mitigate_policy.tracked & BIT(TAINT_SENSITIVE_DATA)));
}

void mitigate_enter(struct asi *asi)
{
	unsigned int flushes;

	if (!asi_runs_guest(asi)) {
		enter_idle(asi);
		return;
	}
	flushes = owed(TO_GUEST, seen_by(asi));
	this_cpu(asi_taints) &= ~(uint32_t)BIT(TAINT_SENSITIVE_DATA);
	barrier();
	flush(flushes);
	barrier();
	/* From here on what another guest has left is flushed, and this one may run. */
	this_cpu(asi_taints_of) = asi->serial;
	taint(BIT(TAINT_GUEST_DATA) | BIT(TAINT_GUEST_CONTROL));
	barrier();
	this_cpu(asi_clean) = asi;
}

void mitigate_leave(void)
{
	this_cpu(asi_clean) = NULL;
	barrier();
	flush(owed(TO_UNRESTRICTED, this_cpu(asi_taints)));
	barrier();
	this_cpu(asi_taints) &= ~(uint32_t)BIT(TAINT_GUEST_CONTROL);
	/* An NMI that left between load and store of the above has set this too. */
	taint(BIT(TAINT_SENSITIVE_DATA));
	barrier();
}

static bool is_due(enum transition transition, const struct asi *asi)
{
	return (asi ? mitigate_policy.with_domain : mitigate_policy.without) & BIT(transition);
}

bool mitigate_each_exit(const struct asi *asi)
{
	return is_due(EACH_EXIT, asi);
}

bool mitigate_each_entry(const struct asi *asi)
{
	return is_due(EACH_ENTRY, asi) || is_due(EACH_EXIT, asi);
}

void mitigate_entry(const struct asi *asi)
{
	if (is_due(EACH_EXIT, asi)) /* by HOST_RIP, one for each entry */
		count(owed(EACH_EXIT, BIT(TAINT_GUEST_CONTROL)));
	if (is_due(EACH_ENTRY, asi))
		flush(owed(EACH_ENTRY, BIT(TAINT_SENSITIVE_DATA)));
}

/* All that a set of rows may name. */
static unsigned int wanted_by(unsigned int rows)
{
	unsigned int flushes = 0;

	for (enum transition t = 0; t < TRANSITION_NR; t++)
		if (rows & BIT(t))
			flushes |= owed(t, BITS(TAINT_NR - 1, 0));
	return flushes;
}

/* A taint that nothing would clear is not kept. */
static uint8_t taints_tracked(unsigned int rows, unsigned int flushes)
{
	uint8_t tracked = 0;

	if (rows & BIT(TO_GUEST) && flushes & DATA)
		tracked |= BIT(TAINT_SENSITIVE_DATA) | BIT(TAINT_GUEST_DATA);
	if (rows & BIT(TO_UNRESTRICTED) && flushes & CONTROL)
		tracked |= BIT(TAINT_GUEST_CONTROL);
	return tracked;
}

/* The buffer of a software flush, zeros for ever: GLOBAL, since every space reads it. 0 or -ENOMEM. */
static int prepare_flushes(unsigned int flushes)
{
	size_t len = MAX(L1D_BUFFER_MIN, 2 * cpu_found.l1d_bytes);
	unsigned int order = 0;
	void *buffer = NULL;

	if (flushes & FLUSH_L1D && !cpu_found.l1d_msr) {
		while (PAGE_SIZE << order < len)
			order++;
		buffer = page_zalloc(order, GLOBAL, NULL);
		if (!buffer)
			return -ENOMEM;
	}
	mitigation_use(flushes, buffer, PAGE_SIZE << order);
	return 0;
}

int mitigate_init(enum mitigate_mode mode)
{
	unsigned int wanted = wanted_by(modes[mode].with_domain | modes[mode].without), flushes;

	mitigation_detect(&cpu_found);
	mode_chosen = mode;
	flushes = wanted & cpu_found.has;
	if (mode == MITIGATE_AUTO)
		flushes &= cpu_found.needs;
	mitigate_policy.with_domain = modes[mode].with_domain;
	mitigate_policy.without = modes[mode].without;
	mitigate_policy.flushes = (uint8_t)flushes;
	mitigate_policy.missing = (uint8_t)(wanted & cpu_found.needs & ~cpu_found.has);
	mitigate_policy.tracked = taints_tracked(modes[mode].with_domain, flushes);
	return prepare_flushes(flushes);
}

/* The modes for comparison leave IA32_SPEC_CTRL as the firmware has it. */
static uint64_t spec_ctrl_wanted(void)
{
	return mode_chosen == MITIGATE_ASI || mode_chosen == MITIGATE_AUTO ? cpu_found.spec_ctrl
									   : 0;
}

void mitigate_init_cpu(void)
{
	taint(BIT(TAINT_SENSITIVE_DATA));
	if (spec_ctrl_wanted())
		mitigation_set_spec_ctrl(spec_ctrl_wanted());
}

static const char *how(unsigned int flush_bit, const char *on)
{
	unsigned int rows = mitigate_policy.with_domain | mitigate_policy.without;

	if (!(wanted_by(rows) & flush_bit))
		return "off";
	if (mitigate_policy.flushes & flush_bit)
		return on;
	return cpu_found.needs & flush_bit ? "missing" : "unneeded";
}

void mitigate_get_report(struct mitigate_report *out)
{
	*out = (struct mitigate_report){
		.mode = mitigate_mode_name(mode_chosen),
		.l1d = how(FLUSH_L1D, cpu_found.l1d_msr ? "msr" : "software"),
		.verw = how(FLUSH_VERW, "on"),
		.ibpb = how(FLUSH_IBPB, "on"),
		.rsb = how(FLUSH_RSB, "on"),
		.spec_ctrl = spec_ctrl_wanted(),
		.cpu = cpu_found,
	};
}
