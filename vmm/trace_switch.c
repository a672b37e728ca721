/* SPDX-License-Identifier: MIT */
/* The trace of vCPUs that run, turned on and off: the CPUs that they are loaded on stand still meanwhile. */
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/trace.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

int trace_prepare_vm(struct vm *vm)
{
	int err = 0;

	for (uint32_t id = 0; !err && id < vm->nr_vcpus; id++)
		err = trace_get_ring(vm->vcpus[id]);
	return err;
}

/* As trace_load() there, and as careful: NMIs come to a CPU that stands, too. */
static void load(uint32_t cpu, const struct vcpu *v)
{
	*percpu_of(cpu, trace_here) = NULL;
	barrier();
	if (!v->trace)
		return;
	v->trace->tag = TRACE_TAG(cpu);
	*percpu_of(cpu, trace_here_in) = v->asi;
	barrier();
	*percpu_of(cpu, trace_here) = v->trace;
}

void trace_switch_vm(struct vm *vm)
{
	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		struct vcpu *v = vm->vcpus[id];

		v->trace = trace_is_on() ? v->trace_ring : NULL;
		for_each_cpu (cpu, cpus_active())
			if (READ_ONCE(*percpu_of(cpu, vcpu_loaded)) == v)
				load(cpu, v);
	}
}
