/* SPDX-License-Identifier: MIT */
/* The parts of this test. */
#pragma once

#include "guest-tests/lib/random.h"
#include "guest-tests/lib/smp.h"

enum { VEC_ANY = 0x55 };

/* Turns of an act on each CPU. */
extern u64 nr_turns;
extern volatile u32 stop;

/* Of the CPU that calls: each has a series of its own. */
u64 below(u64 n);
unsigned int some_cpu(unsigned int first);
/* An ICR, or ICR2, with anything in it, but no INIT, SIPI, nor what a bare machine does not survive. */
u32 some_icr(void);
/* Writes both, whatever they are; true if it was refused by an exception. */
bool send_raw(u32 dest, u32 icr);
/* As apic_write(), but an MSR that is refused is no matter. */
void write_raw(u32 reg, u32 value);

/* storms.c */
void storm_starts(void);
void storm_nmis(void);
/* registers.c */
void illegal_ipis(void);
void change_names(void);
void change_modes(void);

/* last.c: the act of last=, which the guest does not outlive. False if there is none of this name. */
bool last_act(void);
