/* SPDX-License-Identifier: MIT */
/* What boot/torture.c (runs, boundaries, injection), boot/torture_scenarios.c and boot/torture.S share. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/stack.h"
#include "arch/trap.h"
#include "asi/asi.h"

#define TORTURE_DOMAINS 8 /* more than a CPU has PCID slots, so that one has to be taken */
#define TORTURE_NEVER	(~0UL)

/* How something comes in at a boundary. */
enum torture_kind {
	KIND_NMI,      /* INT 2, between two instructions of the interrupted code */
	KIND_REAL_NMI, /* from the local APIC, so that NMIs are blocked until its IRET */
	KIND_MC,       /* a machine check: as an NMI, and while NMIs are blocked too */
	KIND_IRQ,      /* from the local APIC; only where interrupts are on */
	KIND_NR
};

/* What its handler does. */
enum torture_act {
	ACT_NOTHING,
	ACT_TOUCH, /* LOCAL and GLOBAL memory: no crossing */
	ACT_FAULT, /* sensitive memory: a page fault in the handler, which leaves */
	ACT_CALL,  /* asi_exit() */
	ACT_NR
};

/* The state that a scenario starts in; A and B are the domains 0 and 1. */
enum torture_from {
	FROM_OUT,     /* A has a slot and owes no flush */
	FROM_STALE,   /* A owes a flush */
	FROM_EVICTED, /* all slots are others' */
	FROM_RELAXED, /* in A */
	FROM_TENSE,   /* in A */
	FROM_B,	      /* relaxed in B */
};

/* And what it has to come to, whatever came in between. */
enum torture_to {
	TO_TENSE,   /* in A */
	TO_RELAXED, /* target NULL; in A, or out if a handler left */
	TO_OUT,
};

enum {
	WITH_IRQS = 1,	/* interrupts are on */
	WITH_FLUSH = 2, /* A owes a flush at the start, or the scenario orders one */
	WITH_NMI = 4,	/* the scenario's own handler is an NMI's */
};

#define TORTURE_MUST 5

struct torture;

struct torture_scenario {
	const char *name;
	enum torture_from from;
	enum torture_to to;
	unsigned int flags;
	uint64_t (*run)(
		struct torture *);	/* one instruction at a time; returns the same each time */
	const char *must[TORTURE_MUST]; /* functions that an injection must have hit */
};

/* One run, and what it needs: in GLOBAL memory, since everything reads and writes it in every space. */
struct torture {
	/* Said beforehand. */
	const struct torture_scenario *scenario;
	enum torture_kind kind;
	enum torture_act act;
	uint64_t at; /* boundary, counted from 0, where it comes; or TORTURE_NEVER */

	/* As it went. Volatile: what handlers write too. */
	uint64_t boundaries;	   /* passed before the injection */
	uint64_t rip;		   /* what would have been next there; 0: nothing was injected */
	volatile uint32_t handled; /* handlers of what was injected that have run */
	volatile bool through;	   /* no stepping any more: the rest runs at full speed */
	volatile bool own;	   /* the next handler is the scenario's own: it faults */
	const char *wrong;	   /* the first thing that was not so, or NULL */
	struct torture_outcome {
		uint64_t result;
		uint64_t cr3_writes;
		struct asi *curr;
	} outcome, clean;  /* of this run, and of one without injection */
	unsigned int rows; /* of crossings that runs begin with */
	/* Boundaries between which the scenario's own NMI keeps others out. */
	uint64_t nmi_blocked_from, nmi_blocked_to;

	struct stack
		stack; /* all of it runs there: in GLOBAL memory, since both A and B have to map it */
	struct asi *domain[TORTURE_DOMAINS];
	struct mem_owner *owners;
	uint64_t *local;		    /* a word of A's */
	const volatile uint64_t *sensitive; /* what scenarios read; handlers read another */
	uint64_t failures;		    /* of all runs */
};

/* Ends with a NULL name. */
extern const struct torture_scenario torture_scenarios[];

/* torture.S */

/* torture_all(@t) on @stack (arch/stack.h). */
void torture_on_stack(struct torture *t, struct stack *stack);
/* @run(@t) with RFLAGS.TF set: torture_step() at each boundary. */
uint64_t torture_stepped(struct torture *t, uint64_t (*run)(struct torture *));
/* 0 if all registers and flags keep what is put there. */
uint64_t torture_registers(struct torture *t);
/* Entries for gates: #DB; and vectors whose stubs are run one instruction at a time too. */
extern char torture_debug[], torture_page_fault[], torture_nmi[], torture_own[];

/* Called there. */

extern __percpu uint64_t torture_countdown;

void torture_all(struct torture *t);
/* By the raw entry of #DB, which counts no depth, at the end of the countdown: @f->vector becomes VEC_NMI to raise one. */
void torture_step(struct trap_frame *f);
