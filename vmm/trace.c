/* SPDX-License-Identifier: MIT */
/* See vmm/trace.h. */
#include "vmm/trace.h"
#include <stdbool.h>
#include "arch/trace.h"
#include "lib/errno.h"
#include "mm/vmalloc.h"
#include "vmm/vcpu.h"

static bool is_on;

int trace_begin(uint32_t nr_cpus)
{
	struct trace_ring *rings = vmalloc(nr_cpus * sizeof(*rings), SENSITIVE, NULL);

	if (!rings)
		return -ENOMEM;
	for (uint32_t cpu = 0; cpu < nr_cpus; cpu++)
		trace_use(cpu, &rings[cpu]);
	is_on = true;
	return 0;
}

int trace_add_vcpu(struct vcpu *v)
{
	if (!is_on)
		return 0;
	v->trace = vmalloc(sizeof(*v->trace), LOCAL, v->owner);
	return v->trace ? 0 : -ENOMEM;
}
