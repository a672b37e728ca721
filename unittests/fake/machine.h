/* SPDX-License-Identifier: MIT */
/*
 * A machine for the tests of asi/: RAM that memmap and the buddy know, and the unrestricted tables,
 * built by the real mm/ptable.c after the plan of mm/hostmap.c. No address of theirs can be
 * touched, since the test's own address space is another; they can be walked.
 */
#pragma once
#include "mm/hostmap.h"
#include "mm/memmap.h"

/* What hostmap_window() has. */
enum { FAKE_TEXT, FAKE_RODATA, FAKE_NONSENSITIVE, FAKE_DATA, FAKE_WINDOWS };
#define FAKE_DEVICE_HPA UL(0xfee00000)

/* VMs; the last has the highest number there is. */
#define FAKE_OWNERS 10
extern struct mem_owner fake_owners[FAKE_OWNERS];

/* The RAM of fake_machine_setup(); a benchmark wants more. */
extern struct memrange fake_banks[2];

/* CPUs that take part, and what a kick of one does; CPU 0 is the test. */
extern uint64_t fake_active;
extern void (*fake_kick)(uint32_t cpu);
/* How many there are, and those that share a core. */
extern uint32_t fake_nr_cpus;
extern uint64_t fake_core;

extern unsigned int fake_console_lines; /* written so far */

/* Once: RAM, host tables, owners, asi_init(true). A group setup. */
int fake_machine_setup(void **state);

/* The entry of @level for @va; the tables above are there. */
uint64_t *fake_entry(const struct ptable *pt, uint64_t va, unsigned int level);
/* Maps one 4 KiB page, making the tables. */
void fake_map(struct ptable *pt, uint64_t va, uint64_t hpa, unsigned int prot);
