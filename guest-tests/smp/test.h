/* SPDX-License-Identifier: MIT */
/* What the parts of this test share. All of it is CPU 0's business, unless it says otherwise. */
#pragma once

#include "guest-tests/lib/random.h"
#include "guest-tests/lib/smp.h"

/* Vectors that are counted for each CPU, and those of single checks, each in a class of its own. */
enum {
	VEC_TEST = 0x51,
	NR_TEST = 4,
	VEC_TIMER = 0x91,
	VEC_PING = 0xa1,
	VEC_PONG = 0xb1,
	VEC_SHOOT = 0xc1
};

#define TEST_VECTOR(i) ((u32)(VEC_TEST + 0x10 * (i)))

/* Interrupts by TEST_VECTOR(i), and NMIs, that came to each CPU; each writes its own only. */
extern volatile u32 got[NR_TEST][SMP_MAX], nmis[SMP_MAX];
/* The i of the last one; how many, ever, interrupted code that had IF = 0. */
extern volatile u32 last_test[SMP_MAX], let_in[SMP_MAX];

/* How the targets of an IPI are named. */
enum address {
	BY_ID,
	BY_GROUP,
	TO_EVERY_ID,
	TO_EVERY_GROUP,
	TO_SELF,
	TO_ALL,
	TO_OTHERS,
	TO_NOBODY,
	NR_ADDRESSES
};

/* One IPI, and who must get it. */
struct message {
	u32 dest, icr;
	u64 targets; /* set of CPUs */
	bool one;    /* exactly one of them gets it, else all */
};

/* Logical ids: in xAPIC mode the flat or the cluster model, in x2APIC mode the one that there is. */
enum model { FLAT, CLUSTER, X2 };

/* Gives all CPUs their logical ids; to be called again after one was started again. */
void set_model(enum model m);
/*
 * An IPI from CPU @sender to @target, and with BY_GROUP to those of @also that are in its logical group as well;
 * @what is a vector or ICR_NMI, with ICR_LOWEST for one target of those named. False if this cannot be expressed.
 */
bool compose(struct message *m, enum address how, unsigned int sender, unsigned int target,
	     u64 also, u32 what);
/* For smp_run(): sends the message that @message points at. */
void send_job(u64 message);
/* Has each CPU take what is pending. */
void settle(void);
/* Has @count, one of the above, been raised as @m wants? Waits for it, then for more that must not come, and clears it. */
bool delivered(const struct message *m, volatile u32 *count);
void forget_all(void);

/* @check of each CPU but our own, with all counters cleared; the verdict under @name. */
void for_others(const char *name, bool (*check)(unsigned int cpu));
/* xorshift */
u64 random_from(u64 *state);
#define EVERY_CPU (smp_nr() < 64 ? BIT(smp_nr()) - 1 : ~0ull)

void check_memory(void);       /* memory.c */
void check_destinations(void); /* send.c */
void check_logical_ids(void);  /* those of x2APIC mode */
void check_pending(void);      /* wake.c */
void check_halted(void);
void check_starts(void);     /* start.c */
void check_ping_pong(void);  /* ping.c */
void check_shootdown(void);  /* shoot.c */
void check_timers(void);     /* timer.c */
void check_random(u64 seed); /* rounds.c */
/* Halts CPU 0 until @count has come to @want; a timer of its own bounds it. False if it was too late. timer.c */
bool halted_until(const volatile u32 *count, u32 want);
