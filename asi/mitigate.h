/* SPDX-License-Identifier: MIT */
/*
 * When the flushes of arch/mitigation.h are due: one table by transition and taint (mitigate.c,
 * docs/asi.md). A taint says whose data or whose branch history may be in this CPU. It is set
 * before that can be so and cleared only by the flush that ends it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/mitigation.h"
#include "asi/asi.h"

/* mitigate=; the default is auto. */
enum mitigate_mode {
	MITIGATE_NONE,	/* no flush at all: for measuring */
	MITIGATE_ENTRY, /* data at each VM entry, the conventional way: for comparison */
	MITIGATE_EXIT,	/* branch history at each VM exit: for comparison */
	MITIGATE_ASI,	/* by transition and taint, all that the CPU has */
	MITIGATE_AUTO,	/* by transition and taint, what the CPU needs */
	MITIGATE_MODES,
};

/* Taints as a domain sees them that is about to be entered or left. */
enum taint {
	TAINT_SENSITIVE_DATA, /* the unrestricted space has been in use */
	TAINT_GUEST_DATA,     /* this domain's guest has run, or may now */
	TAINT_GUEST_CONTROL,
	TAINT_OTHER_DATA, /* the same of another domain's guest */
	TAINT_OTHER_CONTROL,
	TAINT_NR,
};

/*
 * Decides for @mode and the CPU that this runs on what is flushed when. Once, at boot, unrestricted, behind
 * asi_init and the allocators, before any domain is entered. 0 or -ENOMEM.
 */
__must_check int mitigate_init(enum mitigate_mode mode);

/* The same for the CPU that it runs on, before its first domain: what it holds until now is sensitive. */
void mitigate_init_cpu(void);

/*
 * The two calls of asi/switch.c, interrupts off. Each may be interrupted anywhere by an NMI that makes both.
 * Behind the write of CR3 that entered @asi: nothing sensitive can come in again then.
 */
void mitigate_enter(struct asi *asi);
/* Before the write of CR3 that leaves the restricted space: what runs behind it could be led astray. */
void mitigate_leave(void);

/* Before this CPU halts outside, where siblings run guests: as for entering an idle domain. */
void mitigate_park(void);

/*
 * For the VMs that no transition protects, in modes entry and exit or without a domain (@asi NULL).
 * Whether each VM exit is to be flushed, by HOST_RIP; whether each entry needs the next function.
 */
bool mitigate_each_exit(const struct asi *asi);
bool mitigate_each_entry(const struct asi *asi);
/* Right before a VM entry: flushes for it, and counts the one of the exit before or behind it. */
void mitigate_entry(const struct asi *asi);

/* The name of a mode, as on the command line; NULL behind the last. */
static inline const char *mitigate_mode_name(unsigned int mode)
{
	static const char *const names[MITIGATE_MODES] = { "none", "entry", "exit", "asi", "auto" };

	return mode < MITIGATE_MODES ? names[mode] : NULL;
}

/* What was decided, for people: how each kind of flush is done, or why it is not. */
struct mitigate_report {
	const char *mode, *l1d, *verw, *ibpb, *rsb;
	uint64_t spec_ctrl; /* what IA32_SPEC_CTRL was set to; 0: left alone */
	struct mitigation_cpu cpu;
};
/* Unrestricted. */
void mitigate_get_report(struct mitigate_report *out);
