/* SPDX-License-Identifier: MIT */
/* The @mem and @percpu records: what each class and each guest has of memory. Counts only. */
#include "asi/asi.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/percpu.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"

/* Fields that every record has; @more is what only this kind has. */
static void report_pool(const char *what, const char *more, enum mem_class class,
			struct mem_owner *owner)
{
	struct vmalloc_stats areas;
	struct slab_stats slabs;
	struct mem_stats s;

	mem_get_stats(class, owner, &s);
	slab_get_stats(class, owner, &slabs);
	vmalloc_get_stats(class, owner, &areas);
	log_info("@mem {\"class\":\"%s\",\"pages\":%lu,\"blocks\":%lu,\"free\":%lu,"
		 "\"cached\":%lu,\"quarantine\":%lu,\"converted_in\":%lu,\"converted_out\":%lu,"
		 "\"peak\":%lu,\"slab_objects\":%lu,\"slab_bytes\":%lu,\"vmalloc_pages\":%lu,"
		 "\"vmalloc_lazy\":%lu,\"vmalloc_peak\":%lu%s}",
		 what, s.pages, s.blocks, s.free, s.cached, s.deferred, s.converted_in,
		 s.converted_out, s.peak, slabs.objects, slabs.bytes, areas.pages, areas.lazy_pages,
		 areas.max_pages, more);
}

static void report_percpu(const char *what, enum mem_class class)
{
	struct percpu_stats s;

	percpu_get_stats(class, &s);
	log_info("@percpu {\"class\":\"%s\",\"size\":%lu,\"used\":%lu,\"peak\":%lu,"
		 "\"objects\":%lu,\"failures\":%lu}",
		 what, s.size, s.used, s.max_used, s.objects, s.failures);
}

void report_mem(void)
{
	uint64_t tables = hostmap_ptable()->nr_tables;
	struct buddy_stats s;
	char more[160];

	buddy_get_stats(&s);
	fmt_print(more, sizeof(more),
		  ",\"total_pages\":%lu,\"conversions\":%lu,\"failures\":%lu,\"tables\":%lu,"
		  "\"restricted_tables\":%lu",
		  s.total_pages, s.conversions, s.failures, tables, asi_table_pages() - tables);
	report_pool("sensitive", more, SENSITIVE, NULL);
	report_pool("global", "", GLOBAL, NULL);
	report_percpu("sensitive", SENSITIVE);
	report_percpu("global", GLOBAL);
}

static uint64_t tables_of(const struct asi *asi)
{
	return asi ? asi->pt.nr_tables : 0;
}

static void report_mem_vcpu(const struct vm *vm, const struct vcpu *v)
{
	char more[128];

	fmt_print(more, sizeof(more), ",\"vm\":\"%s\",\"vcpu\":%u,\"owner\":%u,\"tables\":%lu",
		  vm->options.name, v->id, v->owner->id, tables_of(v->asi));
	report_pool("local", more, LOCAL, v->owner);
}

void report_mem_vm(const struct vm *vm)
{
	char more[128];

	fmt_print(more, sizeof(more),
		  ",\"vm\":\"%s\",\"owner\":%u,\"tables\":%lu,\"ept_tables\":%lu", vm->options.name,
		  vm->owner->id, tables_of(vm->asi), vm->ept.nr_tables);
	report_pool("local", more, LOCAL, vm->owner);
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		if (vm->vcpus[id]->owner != vm->owner)
			report_mem_vcpu(vm, vm->vcpus[id]);
}
