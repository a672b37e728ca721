/* SPDX-License-Identifier: MIT */
/*
 * Measurements of a domain that no guest runs in. Between two readings of the TSC stands what is measured and
 * nothing else; what the readings themselves cost is measured too, and subtracted. Samples lie on the
 * stack, which every space maps.
 */
#include "boot/measure.h"
#include "arch/insn.h"
#include "arch/trace.h"
#include "asi/asi.h"
#include "boot/teststack.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"

#define SAMPLES	      512
#define MEASURE_OWNER OWNER_MAX /* no VM has it */

/* Plain static data: what a crossing is for. Volatile, or what nobody writes becomes a constant. */
static volatile uint64_t sensitive_word = 1;

static void sort(uint32_t *v)
{
	for (unsigned int i = 1; i < SAMPLES; i++) {
		uint32_t x = v[i];
		unsigned int at = i;

		for (; at && v[at - 1] > x; at--)
			v[at] = v[at - 1];
		v[at] = x;
	}
}

/* Prints what @samples say, less what a pair of readings costs; returns the smallest. */
static uint32_t report(const char *name, uint32_t *samples, uint32_t readings)
{
	sort(samples);
	log_info("@bench {\"name\":\"%s\",\"n\":%u,\"min\":%u,\"p50\":%u,\"max\":%u}", name,
		 SAMPLES, samples[0] - readings, samples[SAMPLES / 2] - readings,
		 samples[SAMPLES - 1] - readings);
	return samples[0];
}

static uint32_t measure_readings(uint32_t *samples)
{
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t = rdtsc();

		samples[i] = (uint32_t)(rdtsc() - t);
	}
	return report("readings", samples, 0);
}

/* In and out, both switches and what the mode flushes at them. */
static void measure_enter_exit(struct asi *asi, uint32_t *samples, uint32_t readings)
{
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t = rdtsc();

		asi_enter(asi);
		asi_relax();
		asi_exit();
		samples[i] = (uint32_t)(rdtsc() - t);
	}
	report("enter+exit", samples, readings);
}

/* Where we are already. */
static void measure_enter_current(struct asi *asi, uint32_t *samples, uint32_t readings)
{
	asi_enter(asi);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t;

		asi_relax();
		t = rdtsc();
		asi_enter(asi);
		samples[i] = (uint32_t)(rdtsc() - t);
	}
	asi_relax();
	asi_exit();
	report("enter-current", samples, readings);
}

/* One load that faults and is served by leaving. The way back in is the next enter's. */
static void measure_crossing(struct asi *asi, uint32_t *samples, uint32_t readings)
{
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t;

		asi_enter(asi);
		asi_relax();
		t = rdtsc();
		(void)sensitive_word;
		samples[i] = (uint32_t)(rdtsc() - t);
	}
	asi_exit();
	report("fault-crossing", samples, readings);
}

/* One event of the trace, reading of the TSC included, in a ring of the domain's as a vCPU's is. */
static void measure_trace(struct asi *asi, struct trace_ring *ring, uint32_t *samples,
			  uint32_t readings)
{
	asi_enter(asi);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t = rdtsc();

		trace_put(ring, TRACE_EXIT, i, rdtsc());
		samples[i] = (uint32_t)(rdtsc() - t);
	}
	asi_relax();
	asi_exit();
	report("trace-event", samples, readings);
}

void measure_all(struct asi *asi)
{
	struct trace_ring *ring = vmalloc(sizeof(*ring), LOCAL, asi->owner);
	uint32_t samples[SAMPLES];
	uint64_t flags = irq_save();
	uint32_t readings = measure_readings(samples);

	measure_enter_exit(asi, samples, readings);
	measure_enter_current(asi, samples, readings);
	measure_crossing(asi, samples, readings);
	if (ring)
		measure_trace(asi, ring, samples, readings);
	irq_restore(flags);
	vfree(ring);
}

bool measure_run(void)
{
	struct mem_owner *owner = page_zalloc(0, GLOBAL, NULL);
	struct stack *stack = NULL;
	struct asi *asi = NULL;

	if (!owner)
		return false;
	mem_owner_init(owner, MEASURE_OWNER);
	if (!asi_create(ASI_GUEST_VM, owner, &asi))
		stack = teststack_create(owner);
	if (stack && asi)
		measure_on_stack(asi, stack);
	if (stack)
		teststack_destroy(stack);
	vmalloc_owner_end(owner);
	mem_owner_destroy(owner);
	asi_put(asi);
	page_free(owner, 0);
	return stack != NULL;
}
