/* SPDX-License-Identifier: MIT */
/* The @trace records, and the last events in a panic's report. */
#include "arch/layout.h"
#include "arch/mitigation.h"
#include "arch/trace.h"
#include "lib/bitops.h"
#include "lib/fmt.h"
#include "lib/jsonlist.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/symbol.h"
#include "vmm/report.h"
#include "vmm/stats.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

#define TEXT_MAX   160
#define PANIC_LAST 8 /* events of each of the two rings that a panic prints */

/* "symbol+0x12": where a crossing came from; behind a call, which may be the last instruction of its function. */
static void print_place(char buf[TEXT_MAX], uint32_t arg)
{
	bool call = arg & TRACE_BY_CALL;
	uint64_t rip = IMAGE_BASE + (arg & ~TRACE_BY_CALL), offset;
	const char *name = symbol_lookup(rip - call, &offset);

	fmt_print(buf, TEXT_MAX, "\"crossing\",\"%s\",\"%.64s+0x%lx\"", call ? "call" : "fault",
		  name ? name : "", name ? offset + call : rip);
}

static void print_flushes(char buf[TEXT_MAX], uint32_t flushes)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} kinds[] = { { FLUSH_L1D, "l1d" },
		      { FLUSH_VERW, "verw" },
		      { FLUSH_IBPB, "ibpb" },
		      { FLUSH_RSB, "rsb" } };
	size_t at = fmt_print(buf, TEXT_MAX, "\"flush\"");

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (flushes & kinds[i].bit)
			at += fmt_print(buf + at, TEXT_MAX - at, ",\"%s\"", kinds[i].name);
}

static void print_conversion(char buf[TEXT_MAX], uint32_t owner, bool to_sensitive, uint32_t blocks)
{
	const char *other = owner ? "local" : "global";

	fmt_print(buf, TEXT_MAX, "\"conversion\",\"%s\",\"%s\",%u,%u",
		  to_sensitive ? other : "sensitive", to_sensitive ? "sensitive" : other, owner,
		  blocks);
}

static void print_duration(char buf[TEXT_MAX], enum trace_type type, uint32_t ticks, uint32_t cpus)
{
	static const char *const names[TRACE_TYPES] = { [TRACE_SHOOTDOWN] = "shootdown",
							[TRACE_STUN] = "stun",
							[TRACE_HELD] = "held",
							[TRACE_STOP] = "stop" };

	fmt_print(buf, TEXT_MAX, "\"%s\",%u,%u", names[type] ? names[type] : "?", ticks, cpus);
}

/* The event as the rest of a JSON list: its type, and what belongs to that. */
static void print_event(char buf[TEXT_MAX], const struct trace_event *e)
{
	uint32_t arg = trace_arg(e);

	switch (trace_type(e)) {
	case TRACE_EXIT:
		fmt_print(buf, TEXT_MAX, "\"exit\",\"%s\"", stats_reason_name(arg));
		break;
	case TRACE_ENTRY:
		fmt_print(buf, TEXT_MAX, "\"entry\",%u", arg);
		break;
	case TRACE_FLUSH:
		print_flushes(buf, arg);
		break;
	case TRACE_TURN:
	case TRACE_REST:
		fmt_print(buf, TEXT_MAX, "\"%s\",%u,%u",
			  trace_type(e) == TRACE_TURN ? "turn" : "rest", arg >> 16, arg & 0xffff);
		break;
	case TRACE_CROSSING:
		print_place(buf, arg);
		break;
	case TRACE_TOUCHED:
		fmt_print(buf, TEXT_MAX, "\"touched\",\"0x%lx\",%u", e->tsc, arg);
		break;
	case TRACE_CONVERSION:
		print_conversion(buf, arg & 0x3ff, arg & BIT(10), arg >> 16);
		break;
	default:
		print_duration(buf, trace_type(e), arg & 0xffffff, arg >> 24);
		break;
	}
}

/* The number of the oldest event that @ring may have. */
static uint64_t oldest(uint64_t nr)
{
	return nr - MIN(nr, (uint64_t)TRACE_EVENTS);
}

/* The records of @ring, which is @whose: `"vm":"a","vcpu":0` or `"vm":null`. A new one for each CPU that wrote it. */
static void report_ring(const struct trace_ring *ring, const char *whose)
{
	uint64_t end = READ_ONCE(ring->nr), tsc = 0;
	uint32_t cpu = ~0U;
	struct json_list list;
	struct trace_event e;
	char text[TEXT_MAX];

	for (uint64_t i = oldest(end); i < end; i++) {
		if (!trace_get(ring, i, &e))
			continue;
		if (trace_cpu(&e) != cpu) {
			if (cpu != ~0U)
				json_list_end(&list);
			cpu = trace_cpu(&e);
			tsc = trace_type(&e) == TRACE_TOUCHED ? 0 : e.tsc;
			json_list_begin(&list, "events",
					"@trace {%s,\"cpu\":%u,\"lost\":%lu,\"tsc\":%lu,", whose,
					cpu, oldest(end), tsc);
		}
		print_event(text, &e);
		if (trace_type(&e) == TRACE_TOUCHED)
			json_list_add(&list, "[null,%s]", text);
		else
			json_list_add(&list, "[%ld,%s]", (long)(e.tsc - tsc), text);
	}
	if (cpu != ~0U)
		json_list_end(&list);
}

void report_trace_cpu(uint32_t cpu)
{
	const struct trace_ring *ring = trace_ring_of(cpu);

	if (ring)
		report_ring(ring, "\"vm\":null");
}

void report_trace_vm(const struct vm *vm)
{
	char whose[TEXT_MAX];

	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		if (!vm->vcpus[id]->trace_ring)
			return;
		fmt_print(whose, sizeof(whose), "\"vm\":\"%s\",\"owner\":%u,\"vcpu\":%u",
			  vm->options.name, vm->owner->id, id);
		report_ring(vm->vcpus[id]->trace_ring, whose);
	}
}

static void panic_ring(const struct trace_ring *ring, const char *name)
{
	uint64_t end;
	struct trace_event e;
	char text[TEXT_MAX];

	if (!ring || !panic_can_read((unsigned long)&ring->nr))
		return;
	end = READ_ONCE(ring->nr);
	for (uint64_t i = end - MIN(end, (uint64_t)PANIC_LAST); i < end; i++) {
		unsigned long at = (unsigned long)&ring->events[i % TRACE_EVENTS];

		if (!panic_can_read(at) || !panic_can_read(at + 8) || !trace_get(ring, i, &e))
			continue;
		print_event(text, &e);
		log_info("  trace of the %s: %lu %s", name, e.tsc, text);
	}
}

void panic_context(void)
{
	panic_ring(trace_of(this_cpu(cpu_number)), "CPU");
	panic_ring(this_cpu(trace_here), "vCPU");
}
