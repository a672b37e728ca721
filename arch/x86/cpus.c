/* SPDX-License-Identifier: MIT */
/* The table of CPUs. Nonsensitive: kicks are sent, and siblings looked up, in restricted spaces. */
#include "arch/cpus.h"
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/tlb.h"
#include "arch/world.h"
#include "lib/assert.h"

static __nonsensitive struct cpu_row {
	uint32_t apic_id, thread;
	uint64_t siblings;
	struct topology where;
} cpus_table[CPUS_MAX];

static __nonsensitive uint32_t cpus_count;
static __nonsensitive uint64_t cpus_taking_part = 1; /* the boot processor */

uint32_t cpus_add(uint32_t apic_id, const struct topology *where)
{
	uint32_t number = cpus_count++;
	struct cpu_row *new = &cpus_table[number];

	ASSERT(number < CPUS_MAX);
	*new = (struct cpu_row){ .apic_id = apic_id, .where = *where };
	for (uint32_t i = 0; i <= number; i++) {
		struct cpu_row *c = &cpus_table[i];

		if (c->where.package != where->package || c->where.core != where->core)
			continue;
		c->siblings |= BIT(number);
		new->siblings |= BIT(i);
		new->thread += i != number;
	}
	return number;
}

uint32_t cpus_nr(void)
{
	return cpus_count;
}

uint32_t cpu_apic_id(uint32_t cpu)
{
	return cpus_table[cpu].apic_id;
}

uint64_t cpu_siblings(uint32_t cpu)
{
	return cpus_table[cpu].siblings;
}

uint32_t cpu_thread(uint32_t cpu)
{
	return cpus_table[cpu].thread;
}

uint64_t cpus_active(void)
{
	return __atomic_load_n(&cpus_taking_part, __ATOMIC_ACQUIRE);
}

/* Whoever unmaps, or stops the world, from here on waits for us; what was unmapped before is flushed. */
void cpus_join(void)
{
	__atomic_fetch_or(&cpus_taking_part, BIT(this_cpu(cpu_number)), __ATOMIC_SEQ_CST);
	tlb_flush_all();
	world_yield();
}

void cpus_leave(void)
{
	__atomic_fetch_and(&cpus_taking_part, ~BIT(this_cpu(cpu_number)), __ATOMIC_SEQ_CST);
}

void cpu_kick(uint32_t cpu)
{
	apic_send_interrupt(cpu_apic_id(cpu), APIC_VECTOR_KICK);
}
