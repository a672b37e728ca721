/* SPDX-License-Identifier: MIT */
/* See vmm/trace.h. */
#include "vmm/trace.h"
#include <stdbool.h>
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/trace.h"
#include "lib/errno.h"
#include "mm/vmalloc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static bool is_on;
static struct trace_ring *rings; /* of CPUs */
static uint32_t nr_rings;

int trace_begin(uint32_t nr_cpus)
{
	if (!rings) {
		rings = vmalloc(nr_cpus * sizeof(*rings), SENSITIVE, NULL);
		nr_rings = rings ? nr_cpus : 0;
	}
	if (!rings)
		return -ENOMEM;
	for (uint32_t cpu = 0; cpu < nr_rings; cpu++)
		trace_use(cpu, &rings[cpu]);
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
	return cpu < nr_rings ? &rings[cpu] : NULL;
}

static int get_ring(struct vcpu *v)
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
	int err = is_on ? get_ring(v) : 0;

	v->trace = v->trace_ring;
	return err;
}

int trace_prepare_vm(struct vm *vm)
{
	int err = 0;

	for (uint32_t id = 0; !err && id < vm->nr_vcpus; id++)
		err = get_ring(vm->vcpus[id]);
	return err;
}

void trace_switch_vm(struct vm *vm)
{
	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		struct vcpu *v = vm->vcpus[id];

		v->trace = is_on ? v->trace_ring : NULL;
		for_each_cpu (cpu, cpus_active())
			if (READ_ONCE(*percpu_of(cpu, vcpu_loaded)) == v)
				trace_load_on(cpu, v->trace, v->asi);
	}
}
