/* SPDX-License-Identifier: MIT */
/*
 * The trace (trace=on): rings of events, each with its TSC and CPU, cheap enough to stay on. Whose memory a ring is decides
 * what may be noted in it (decision 0017):
 *
 *   a vCPU's     LOCAL      what its own guest causes and can time anyway: exits, entries, flushes on its way
 *   a CPU's      SENSITIVE  what names several VMs, or addresses: turns, crossings, conversions, shootdowns, stops
 *
 * No event holds a register or memory of a guest. A ring has one writer at a time, the CPU that it or its vCPU is loaded
 * on, and that CPU's NMIs; anybody who may read its memory reads it at any time (trace_get).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/percpu.h"

#define TRACE_EVENTS \
	4096 /* that a ring holds; a power of two, and a lap is told by the number's low 16 bits */

enum trace_type {
	TRACE_EXIT,  /* VM exit: its basic reason */
	TRACE_ENTRY, /* the next VM entry: whether the exit was served restricted */
	TRACE_FLUSH, /* FLUSH_* of arch/mitigation.h */
	TRACE_TURN,  /* a vCPU begins its turn: owner's number << 16 | vCPU */
	TRACE_REST,  /* and ends it: the same */
	TRACE_CROSSING, /* out of a restricted space: TRACE_BY_CALL, and the place as an offset into the image */
	TRACE_TOUCHED, /* behind a crossing by fault: the address, which stands in place of the TSC; its error code */
	TRACE_CONVERSION, /* a run of pageblocks has changed class: trace_blocks() */
	TRACE_SHOOTDOWN, /* translations have been dropped, here and on CPUs kicked for it: trace_duration() */
	TRACE_STUN, /* on the way out siblings had to leave their guest: trace_duration() */
	TRACE_HELD, /* this CPU had to stay out of its own, and goes on now: trace_duration() */
	TRACE_STOP, /* the other CPUs have been stopped: trace_duration() */
	TRACE_TYPES
};

#define TRACE_BY_CALL (1U << 31)

struct trace_event {
	uint64_t tsc;
	uint64_t word; /* 15:0 low bits of its number, 23:16 type, 31:24 CPU, 63:32 argument */
};

struct trace_ring {
	uint64_t nr;  /* events ever noted */
	uint64_t tag; /* the CPU, where it stands in a word */
	struct trace_event events[TRACE_EVENTS];
};

#define TRACE_TAG(cpu) ((uint64_t)(cpu) << 24)

/* Notes an event in a ring that the current space maps, on the CPU that its tag names. Any context. */
static __always_inline void trace_put(struct trace_ring *ring, enum trace_type type, uint32_t arg,
				      uint64_t tsc)
{
	/* An NMI that comes now gets the next number. */
	uint64_t nr = fetch_inc(&ring->nr);
	struct trace_event *e = &ring->events[nr % TRACE_EVENTS];

	e->tsc = tsc;
	barrier();
	e->word = (uint64_t)arg << 32 | (uint64_t)type << 16 | (uint16_t)nr | ring->tag;
}

/* The ring of the vCPU that is loaded here, NULL if there is none; the domain (or NULL) whose space maps it. */
extern __percpu struct trace_ring *trace_here;
extern __percpu const void *trace_here_in;

/* Notes in it, if @space, the domain that this CPU is in, is the vCPU's. Any context, restricted too. */
static inline void trace_local(const void *space, enum trace_type type, uint32_t arg)
{
	struct trace_ring *ring = this_cpu(trace_here);

	if (unlikely(ring) && this_cpu(trace_here_in) == space)
		trace_put(ring, type, arg, rdtsc());
}

/* From here on trace_local() means @ring, which @space maps; NULL for none. */
void trace_load(struct trace_ring *ring, const void *space);

/* From here on trace_note() on @cpu means @ring, SENSITIVE; NULL, as at first: it notes nothing. */
void trace_use(uint32_t cpu, struct trace_ring *ring);
/* What it means on @cpu, NULL for nothing. */
const struct trace_ring *trace_of(uint32_t cpu);
/* Whether any CPU has one. Unrestricted. */
extern bool trace_is_used;
/* Notes in this CPU's ring. Unrestricted, any context. */
void trace_note_used(enum trace_type type, uint32_t arg);
static __always_inline void trace_note(enum trace_type type, uint32_t arg)
{
	if (unlikely(trace_is_used))
		trace_note_used(type, arg);
}
/* A crossing at @rip, and by fault the @address touched and its error code. Unrestricted, any context. */
void trace_crossing(bool by_call, uint64_t rip, uint64_t address, uint32_t error);

/* How long it has been since TSC @begin, and how many CPUs were in it: 31:24 CPUs, 23:0 ticks, or as many as fit. */
static inline uint32_t trace_duration(uint64_t begin, uint32_t cpus)
{
	uint64_t ticks = rdtsc() - begin, most = (1U << 24) - 1;

	return cpus << 24 | (uint32_t)(ticks < most ? ticks : most);
}

/* 9:0 owner (0: GLOBAL), 10 whether the blocks became SENSITIVE, 31:16 how many. */
static inline uint32_t trace_blocks(uint32_t owner, bool to_sensitive, uint64_t blocks)
{
	return owner | (uint32_t)to_sensitive << 10 | (uint32_t)blocks << 16;
}

/*
 * The event with number @nr, if the ring has it still and has it whole: whoever writes meanwhile is found out. The
 * oldest that there may be is number nr - TRACE_EVENTS.
 */
bool trace_get(const struct trace_ring *ring, uint64_t nr, struct trace_event *out);

static inline enum trace_type trace_type(const struct trace_event *e)
{
	return (enum trace_type)(uint8_t)(e->word >> 16);
}
static inline uint32_t trace_cpu(const struct trace_event *e)
{
	return (uint8_t)(e->word >> 24);
}
static inline uint32_t trace_arg(const struct trace_event *e)
{
	return (uint32_t)(e->word >> 32);
}
