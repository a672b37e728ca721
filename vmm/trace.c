/* SPDX-License-Identifier: MIT */
/* See vmm/trace.h. */
#include "vmm/trace.h"
#include "arch/trace.h"
#include "lib/errno.h"
#include "mm/vmalloc.h"
#include "vmm/vcpu.h"

static bool is_on;
static struct trace_ring *cpu_rings; /* of CPUs */
static uint32_t nr_rings;

int trace_begin(uint32_t nr_cpus)
{
	if (!cpu_rings) {
		cpu_rings = vmalloc(nr_cpus * sizeof(*cpu_rings), SENSITIVE, NULL);
		nr_rings = cpu_rings ? nr_cpus : 0;
	}
	if (!cpu_rings)
		return -ENOMEM;
	for (uint32_t cpu = 0; cpu < nr_rings; cpu++)
		trace_use(cpu, &cpu_rings[cpu]);
	is_on = true;
	return 0;
}

void trace_end(void)
{
	is_on = false;
	for (uint32_t cpu = 0; cpu < nr_rings; cpu++)
		trace_use(cpu, NULL);
}

const struct trace_ring *trace_ring_of(uint32_t cpu)
{
	return cpu < nr_rings ? &cpu_rings[cpu] : NULL;
}

bool trace_is_on(void)
{
	return is_on;
}

int trace_get_ring(struct vcpu *v)
{
	if (!v->trace_ring)
		v->trace_ring = vmalloc(sizeof(*v->trace_ring), LOCAL, v->owner);
	if (!v->trace_ring)
		return -ENOMEM;
	asi_require_mapped(v->asi, v->trace_ring, sizeof(*v->trace_ring), "its trace");
	return 0;
}

int trace_add_vcpu(struct vcpu *v)
{
	int err = is_on ? trace_get_ring(v) : 0;

	v->trace = v->trace_ring;
	return err;
}
