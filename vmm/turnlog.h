/* SPDX-License-Identifier: MIT */
/*
 * Which vCPU was on which CPU when (trace=on): the proof of core scheduling, and of who got how much. SENSITIVE: it names
 * all VMs.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "vmm/vcpu.h"

/* Room for the turns of @cpus, a bit each. 0 or -ENOMEM. Without it nothing is noted. */
__must_check int turnlog_init(uint64_t cpus);
/* @v was on @cpu, the caller's, from TSC @begin to @end. Beyond what there is room for, turns are only counted. */
void turnlog_note(uint32_t cpu, const struct vcpu *v, uint64_t begin, uint64_t end);
/* Writes the @turn and @turns records. No CPU notes any more. */
void turnlog_report(void);
