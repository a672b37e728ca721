/* SPDX-License-Identifier: MIT */
/*
 * SDM, "Detecting Hardware Multi-Threading Support and Topology": CPUID leaf 0x1f, or 0xb where there is none, has a
 * subleaf for each level, smallest first, that says by how many bits the APIC id is to be shifted
 * right to name the next level. Before these leaves, counts in leaves 1 and 4 say how wide the parts are.
 */
#include "arch/topology.h"
#include <stdbool.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "lib/bitops.h"

#define LEVELS_MAX   8 /* the SDM knows six */
#define LEVEL_NONE   0
#define LEVEL_THREAD 1
#define SHIFT_MAX    31u

struct widths {
	uint32_t id, thread,
		package; /* an APIC id; bits of it below the core's, below the package's */
};

static bool from_levels(uint32_t leaf, struct widths *w)
{
	if (cpuid(0, 0).eax < leaf || !(cpuid(leaf, 0).ebx & 0xffff))
		return false;
	*w = (struct widths){ .id = cpuid(leaf, 0).edx };
	for (uint32_t i = 0; i < LEVELS_MAX; i++) {
		struct cpuid_regs r = cpuid(leaf, i);
		uint32_t type = r.ecx >> 8 & 0xff, shift = r.eax & SHIFT_MAX;

		if (type == LEVEL_NONE)
			break;
		if (type == LEVEL_THREAD)
			w->thread = shift;
		w->package = MAX(w->package, shift);
	}
	return true;
}

/* The bits that number @n things. */
static uint32_t bits_for(uint32_t n)
{
	uint32_t bits = 0;

	while (bits < SHIFT_MAX && 1u << bits < n)
		bits++;
	return bits;
}

static void from_counts(struct widths *w)
{
	struct cpuid_regs r = cpuid(1, 0);
	uint32_t threads = r.edx & CPUID_1_EDX_HTT ? MAX(r.ebx >> 16 & 0xff, 1) : 1;
	uint32_t cores = cpuid(0, 0).eax >= 4 ? (cpuid(4, 0).eax >> 26) + 1 : 1;

	*w = (struct widths){ .id = r.ebx >> 24, .package = bits_for(threads) };
	w->thread = w->package - MIN(w->package, bits_for(cores));
}

void topology_read(struct topology *out)
{
	struct widths w;

	if (!from_levels(0x1f, &w) && !from_levels(0xb, &w))
		from_counts(&w);
	out->thread = w.id & ((1u << w.thread) - 1);
	out->core = (w.id & ((1u << w.package) - 1)) >> w.thread;
	out->package = w.id >> w.package;
}
