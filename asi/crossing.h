/* SPDX-License-Identifier: MIT */
/*
 * Records of crossings: where the code left the restricted space, and what it wanted. They are how
 * annotations are found: a place that shows up often touches something that could be nonsensitive, or
 * should leave by call, or has no business there. All of it is written after leaving, so it is sensitive.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "asi/asi.h"

#define CROSSING_WHAT_MAX 64

/* One row: crossings of one cause by one instruction, called from one place, into one region. */
struct asi_crossing {
	enum asi_cause cause;
	uint32_t domain;  /* id: whose space was left, the first time */
	bool others;	  /* by fault: another domain's was left here too */
	uint64_t rip;	  /* the instruction; by call, where asi_exit() was called */
	uint64_t caller;  /* return address of the function that @rip is in; 0: not known */
	uint64_t address; /* touched the first time; 0 by call */
	uint64_t count;
	uint64_t bytes;		      /* that would be shown with it, then: see asi_describe() */
	char what[CROSSING_WHAT_MAX]; /* that owned it then; "" by call */
};

/* Counts a crossing from @asi, and traces it; @error: the #PF error code. Unrestricted by now. Any context, interrupts off. */
void crossing_note(enum asi_cause cause, const struct asi *asi, uint64_t rip, uint64_t caller,
		   uint64_t address, uint64_t error);

/*
 * How many rows there are; forgets all behind the first @nr. For NMI torture, which would fill the table
 * with places of its own: each crossing looks through all of it.
 */
unsigned int crossing_rows(void);
void crossing_forget(unsigned int nr);

/* The @i-th row, the most frequent first; false behind the last. Sorts when @i is 0. */
bool asi_crossing_get(unsigned int i, struct asi_crossing *out);
/* Crossings that found the table full, and are in no row. */
uint64_t asi_crossings_lost(void);

/*
 * What the memory at @va is, in words: the symbol, slab cache, vmalloc area, per-CPU variable, or class
 * and owner of the page. Writes at most @size bytes to @buf. Returns how many bytes can only have one
 * class, that of @va: the variable (of all CPUs), the cache's slabs, the area, the run of pages; 0 if
 * nobody can choose one. Unrestricted.
 */
uint64_t asi_describe(uint64_t va, char *buf, size_t size);
