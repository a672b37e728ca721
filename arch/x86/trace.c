/* SPDX-License-Identifier: MIT */
/* See arch/trace.h. */
#include "arch/trace.h"
#include <stddef.h>
#include "arch/layout.h"

_Static_assert(TRACE_EVENTS < 0x10000, "the low bits of two laps differ");
_Static_assert(CPUS_MAX <= 256, "a CPU's number has 8 bits");

__percpu struct trace_ring *trace_here;
__percpu const void *trace_here_in;

static struct trace_ring *rings[CPUS_MAX];
bool trace_is_used;

/* NULL while they change: an NMI may note a flush in between. */
void trace_load(struct trace_ring *ring, const void *space)
{
	this_cpu(trace_here) = NULL;
	barrier();
	if (!ring)
		return;
	ring->tag = TRACE_TAG(this_cpu(cpu_number));
	this_cpu(trace_here_in) = space;
	barrier();
	this_cpu(trace_here) = ring;
}

void trace_use(uint32_t cpu, struct trace_ring *ring)
{
	if (ring)
		ring->tag = TRACE_TAG(cpu);
	rings[cpu] = ring;
	trace_is_used |= ring != NULL;
}

const struct trace_ring *trace_of(uint32_t cpu)
{
	return rings[cpu];
}

void trace_note_used(enum trace_type type, uint32_t arg)
{
	struct trace_ring *ring = rings[this_cpu(cpu_number)];

	if (ring)
		trace_put(ring, type, arg, rdtsc());
}

void trace_crossing(bool by_call, uint64_t rip, uint64_t address, uint32_t error)
{
	struct trace_ring *ring = rings[this_cpu(cpu_number)];

	if (!ring)
		return;
	trace_put(ring, TRACE_CROSSING,
		  (by_call ? TRACE_BY_CALL : 0) | (uint32_t)(rip - IMAGE_BASE), rdtsc());
	if (!by_call)
		trace_put(ring, TRACE_TOUCHED, error, address);
}

bool trace_get(const struct trace_ring *ring, uint64_t nr, struct trace_event *out)
{
	const struct trace_event *e = &ring->events[nr % TRACE_EVENTS];

	if (nr >= READ_ONCE(ring->nr))
		return false;
	out->word = READ_ONCE(e->word);
	out->tsc = READ_ONCE(e->tsc);
	barrier();
	/* The TSC is written first: where the word is of this number still, and nobody has come around, both are. */
	return (uint16_t)out->word == (uint16_t)nr && READ_ONCE(ring->nr) - nr <= TRACE_EVENTS;
}
