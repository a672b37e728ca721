/* SPDX-License-Identifier: MIT */
/*
 * The CPUs in use: where each is, which of them take part now, and the one interrupt that they send each other.
 * It says "look" and nothing else: what is asked for stands in state that the receiver reads, so that
 * kicks may be lost in each other, and one too many does no harm.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"
#include "arch/topology.h"
#include "lib/bitops.h"

/* The next number is the CPU's with APIC id @apic_id. Boot only, one after the other. Returns it. */
uint32_t cpus_add(uint32_t apic_id, const struct topology *where);

/* CPUs in use: numbers 0, the boot processor, to cpus_nr() - 1. */
uint32_t cpus_nr(void);
uint32_t cpu_apic_id(uint32_t cpu);
/* The CPUs of @cpu's core, itself included, a bit each; and which of a core's threads it is, from 0. */
uint64_t cpu_siblings(uint32_t cpu);
uint32_t cpu_thread(uint32_t cpu);

/*
 * The CPUs that take part, a bit each: all but parked ones (decision 0014). Who leaves is in the unrestricted
 * space, with nothing begun; when it joins again it flushes all translations, and stands still if the world does
 * (arch/world.h). Interrupts off.
 */
uint64_t cpus_active(void);
void cpus_join(void);
void cpus_leave(void);

/*
 * Makes @cpu, not this one, look: cpu_serve() and cpu_kicked() run there as soon as interrupts are on or its guest
 * runs. Any context, NMIs too.
 */
void cpu_kick(uint32_t cpu);

/*
 * REQUIRED of asi/switch.c: does what other CPUs wait for here. Every loop that waits for another CPU calls
 * it, so that no two wait for each other. Interrupts off; touches nothing sensitive.
 */
void cpu_serve(void);
/* REQUIRED of vmm/schedule.c: a kick has come. In its interrupt, on whatever stack. */
void cpu_kicked(void);

/* @cpu is declared by it. */
#define for_each_cpu(cpu, set)                                                       \
	for (uint64_t set_##cpu = (set), once_##cpu = 1; once_##cpu; once_##cpu = 0) \
		for (uint32_t cpu; set_##cpu && (cpu = bit_lowest(set_##cpu), true); \
		     set_##cpu &= set_##cpu - 1)
