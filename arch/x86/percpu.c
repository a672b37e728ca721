/* SPDX-License-Identifier: MIT */
/* Per-CPU areas: copying the templates and pointing GS base at the copy. */
#include "arch/percpu_area.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "lib/string.h"

extern char __percpu_end[];
extern char __percpu_sensitive_start[], __percpu_sensitive_end[];

__percpu uint64_t percpu_offset, percpu_sensitive_offset;
__percpu uint32_t cpu_number;
__percpu uint32_t locks_held, lock_ranks; /* arch/spinlock.h */

void percpu_init(uint32_t cpu)
{
	char *area = (char *)percpu_area(cpu);
	char *sensitive = (char *)percpu_sensitive_area(cpu);

	memcpy(area, __percpu_start, (size_t)(__percpu_end - __percpu_start));
	memcpy(sensitive, __percpu_sensitive_start,
	       (size_t)(__percpu_sensitive_end - __percpu_sensitive_start));
	wrmsr(MSR_GS_BASE, (uint64_t)(area - __percpu_start));
	this_cpu(percpu_offset) = (uint64_t)(area - __percpu_start);
	this_cpu(percpu_sensitive_offset) = (uint64_t)(sensitive - __percpu_sensitive_start);
	this_cpu(cpu_number) = cpu;
}

uint64_t percpu_template(uint64_t va)
{
	static const struct {
		uint64_t base;
		const char *start, *end;
	} halves[] = {
		{ PERCPU_BASE, __percpu_start, __percpu_end },
		{ PERCPU_SENSITIVE_BASE, __percpu_sensitive_start, __percpu_sensitive_end },
	};

	for (unsigned int i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
		uint64_t offset = (va - halves[i].base) % PERCPU_STRIDE;

		if (va - halves[i].base < CPUS_MAX * PERCPU_STRIDE &&
		    offset < (uint64_t)(halves[i].end - halves[i].start))
			return (uint64_t)halves[i].start + offset;
	}
	return 0;
}
