/* SPDX-License-Identifier: MIT */
/* Who runs where: every CPU runs sched_run() until no VM is left. The order is vmm/runqueue.h's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "vmm/vm.h"

#define SLICE_MS 10

/*
 * For the CPUs of @cpus, a bit each: their idle stacks, and the run queues. Audits begin every @audit_ms, 0: none do;
 * CPUs without work @poll instead of halting. Once, before VMs are started. 0 or -ENOMEM.
 */
__must_check int sched_init(uint64_t cpus, uint64_t audit_ms, bool poll);

/*
 * Lets the vCPUs of @vm run, from now on. 0 or -ENOMEM, and then none does. Unrestricted; sched_init() has been called.
 */
__must_check int sched_start(struct vm *vm);
/* Whether all vCPUs of @vm have ended, and left the CPUs that they ran on. */
bool sched_has_ended(const struct vm *vm);

/* Runs vCPUs on this CPU until no VM is left. Base stack, unrestricted, interrupts off; the same on return. */
void sched_run(void);

/* Violations that the audits found while guests ran; writes their @audit record. Behind sched_run(). */
uint64_t sched_report_audits(void);

/* Ticks of the longest turn. */
uint64_t sched_slice(void);

/* A reason for this CPU to look up from its guest: its vCPU leaves the loop of run.c for a moment. Any space. */
void sched_look(void);
/* A reason for @cpu's scheduler: its vCPU ends its turn. To be kicked, or looked at, afterwards. Any space. */
void sched_ask(uint32_t cpu);
/* Whether this CPU has been asked: the turn ends. */
bool sched_is_asked(void);

struct sched_stats {
	uint64_t turns, switches; /* a switch is a turn of another vCPU than the last one here */
	uint64_t idle_ticks;
	/* Turns that began while a sibling was in one: of the same VM, and of another, which core scheduling excludes. */
	uint64_t beside_own, beside_other;
	uint64_t switch_min, switch_sum,
		switch_max; /* TSC ticks from one vCPU's last exit to the next one's entry */
};
/* Of one CPU. Unrestricted. */
const struct sched_stats *sched_stats_of(uint32_t cpu);
