/* SPDX-License-Identifier: MIT */
/* Memory for the trace (arch/trace.h), and whether there is one. */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"

struct vcpu;

/* A ring for each of CPU 0 to @nr_cpus - 1; from here on each vCPU gets one. 0 or -ENOMEM, and then nothing is traced. Boot only. */
__must_check int trace_begin(uint32_t nr_cpus);
/* @v's ring, LOCAL, if there is a trace. 0 or -ENOMEM. Unrestricted. */
__must_check int trace_add_vcpu(struct vcpu *v);
