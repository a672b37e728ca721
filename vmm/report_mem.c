/* SPDX-License-Identifier: MIT */
/* The @mem records: what each class and each guest has of memory. Counts only. */
#include "lib/fmt.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
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
		 "\"vmalloc_lazy\":%lu%s}",
		 what, s.pages, s.blocks, s.free, s.cached, s.deferred, s.converted_in,
		 s.converted_out, s.peak, slabs.objects, slabs.bytes, areas.pages, areas.lazy_pages,
		 more);
}

void report_mem(void)
{
	struct buddy_stats s;
	char more[128];

	buddy_get_stats(&s);
	fmt_print(more, sizeof(more),
		  ",\"total_pages\":%lu,\"conversions\":%lu,\"failures\":%lu,\"tables\":%lu",
		  s.total_pages, s.conversions, s.failures, hostmap_ptable()->nr_tables);
	report_pool("sensitive", more, SENSITIVE, NULL);
	report_pool("global", "", GLOBAL, NULL);
}

void report_mem_vm(const struct vm *vm)
{
	char more[128];

	fmt_print(more, sizeof(more),
		  ",\"vm\":\"%s\",\"owner\":%u,\"tables\":%lu,\"ept_tables\":%lu", vm->options.name,
		  vm->owner->id, vm->vcpu->asi ? vm->vcpu->asi->pt.nr_tables : 0,
		  vm->ept.nr_tables);
	report_pool("local", more, LOCAL, vm->owner);
}
