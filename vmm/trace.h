/* SPDX-License-Identifier: MIT */
/*
 * Memory for the trace (arch/trace.h), and whether there is one. What has been noted stays when the trace is turned off: its
 * rings are there until their vCPU goes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"

struct vm;
struct vcpu;
struct trace_ring;

/*
 * A ring for each of CPU 0 to @nr_cpus - 1; from here on each vCPU that is made gets one. 0 or -ENOMEM, and then nothing is
 * traced. Again behind trace_end(): the same rings go on. Unrestricted; whoever traces already stands still.
 */
__must_check int trace_begin(uint32_t nr_cpus);
/* Nothing is noted any more in CPUs' rings, and vCPUs that are made get none. The world stands still (arch/world.h). */
void trace_end(void);
/* @v's ring, LOCAL, if there is a trace. 0 or -ENOMEM. Unrestricted. */
__must_check int trace_add_vcpu(struct vcpu *v);
bool trace_is_on(void);
/* Memory for @v's ring, if it has none. 0 or -ENOMEM. Unrestricted. */
__must_check int trace_get_ring(struct vcpu *v);
/*
 * trace_switch.c: of vCPUs that may have begun to run, memory for their rings, 0 or -ENOMEM; then, while the world stands still,
 * whether they are written, as there is a trace or not.
 */
__must_check int trace_prepare_vm(struct vm *vm);
void trace_switch_vm(struct vm *vm);
/* What @cpu's ring has or had; NULL if there never was a trace. */
const struct trace_ring *trace_ring_of(uint32_t cpu);
