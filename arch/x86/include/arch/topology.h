/* SPDX-License-Identifier: MIT */
/* Where in the machine this CPU is: which threads share a core, which cores a package. */
#pragma once
#include <stdint.h>

/* The parts of the APIC id. @core counts within the package: dies, tiles and modules are part of its number. */
struct topology {
	uint32_t package, core, thread;
};

void topology_read(struct topology *out);
