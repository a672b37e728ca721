/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs (threads) that run vmm/schedule.c, runqueue.c, post.c, ready.c and arch/x86/world.c, cpus.c as they are, and
 * what stands around them: interrupts, vCPUs whose guests are small programs, turns as vmm/run.c has them.
 *
 * It is checked here that a vCPU is loaded on one CPU at a time, that the threads of a core run one VM at a time, that
 * nobody moves while the world is stopped, and at the end of each VM that it slept for good, all of it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CPUS	    4 /* 0 and 2 are threads of a core, 1 and 3 of the other */
#define CORES	    3UL
#define THREADS	    5UL
#define VMS	    10
#define TICK_VECTOR 0x40
#define SIPI_VECTOR 8

struct guest {
	struct vm vm;
	struct vcpu vcpus[VCPUS_MAX];
	void (*program)(struct guest *g, struct vcpu *v); /* a step: what lies between two exits */
	struct vcpu_program {
		uint64_t random;
		uint32_t steps; /* left to do; then it answers no more, and halts */
		uint64_t rounds;
		bool waits; /* for a start-up IPI */
	} p[VCPUS_MAX];
	bool made;
	uint32_t nr_stops, nr_reports; /* atomic; calls of vm_stop(), and reports */
};

extern struct guest guests[VMS];

/* Since the test cleared them; atomic, but for audits, which the stopped world guards. */
extern struct sched_counts {
	uint64_t messages, kicks, dozes, idles, halted, audits;
} counts;

static inline void count(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* The CPUs, before anything else. */
void machine_start(void);
/* No interrupt is pending anywhere, and the areas of all CPUs are the caller's until machine_cpu() says otherwise. */
void machine_reset(void);
/* The calling thread is CPU @cpu from now on. */
void machine_cpu(uint32_t cpu);
/* The console interrupts CPU 0, as soon as that lets interrupts in. Any thread. */
void machine_type(void);
/* Whether a vCPU is loaded here. */
bool machine_is_empty(void);

/* Makes @g, whose number of vCPUs, programs and their states are set, and lets it run. */
void guest_make(struct guest *g);
/* What is pending for @v is taken; whether there was anything. HLT. */
bool guest_takes_interrupts(struct vcpu *v);
void guest_halts(struct vcpu *v);
