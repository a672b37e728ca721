/* SPDX-License-Identifier: MIT */
/*
 * vmm/report_mem.c: each figure stands under its own name, once (docs/serial.md), and a record of the largest
 * machine is a whole line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "asi/asi.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/percpu.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"

#define LINE_MAX 510

static char lines[8][1024];
static unsigned int nr_lines;
/* All figures are this and a number of their own; those of GLOBAL and LOCAL are 100 and 200 more. */
static uint64_t base;
static struct ptable host;

void console_write(const char *text, size_t len)
{
	assert_true(len <= LINE_MAX + 1 && text[len - 1] == '\n');
	snprintf(lines[nr_lines++], sizeof(lines[0]), "%.*s", (int)len - 1, text);
}

static uint64_t first(enum mem_class class)
{
	return base + 100U * class;
}

void mem_get_stats(enum mem_class class, struct mem_owner *owner, struct mem_stats *out)
{
	uint64_t n = first(class);

	assert_int_equal(owner != NULL, class == LOCAL);
	*out = (struct mem_stats){ n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8 };
}

void slab_get_stats(enum mem_class class, struct mem_owner *owner, struct slab_stats *out)
{
	(void)owner;
	*out = (struct slab_stats){ .objects = first(class) + 9, .bytes = first(class) + 10 };
}

void vmalloc_get_stats(enum mem_class class, const struct mem_owner *owner,
		       struct vmalloc_stats *out)
{
	(void)owner;
	*out = (struct vmalloc_stats){ .pages = first(class) + 11,
				       .lazy_pages = first(class) + 12,
				       .max_pages = first(class) + 13 };
}

void buddy_get_stats(struct buddy_stats *out)
{
	*out = (struct buddy_stats){ .total_pages = base + 14,
				     .conversions = base + 15,
				     .failures = base + 16 };
}

struct ptable *hostmap_ptable(void)
{
	host.nr_tables = base + 17;
	return &host;
}

uint64_t asi_table_pages(void)
{
	return 2 * base + 17 + 18;
}

void percpu_get_stats(enum mem_class class, struct percpu_stats *out)
{
	uint64_t n = first(class);

	*out = (struct percpu_stats){ n + 19, n + 20, n + 21, n + 22, n + 23 };
}

struct field {
	const char *name;
	unsigned int number;
};

static const struct field common[] = {
	{ "pages", 1 },		 { "blocks", 2 },
	{ "free", 3 },		 { "cached", 4 },
	{ "quarantine", 5 },	 { "converted_in", 6 },
	{ "converted_out", 7 },	 { "peak", 8 },
	{ "slab_objects", 9 },	 { "slab_bytes", 10 },
	{ "vmalloc_pages", 11 }, { "vmalloc_lazy", 12 },
	{ "vmalloc_peak", 13 },	 { NULL, 0 },
};
static const struct field of_machine[] = {
	{ "total_pages", 14 }, { "conversions", 15 },	    { "failures", 16 },
	{ "tables", 17 },      { "restricted_tables", 18 }, { NULL, 0 },
};
static const struct field of_percpu[] = {
	{ "size", 19 },	   { "used", 20 },     { "peak", 21 },
	{ "objects", 22 }, { "failures", 23 }, { NULL, 0 },
};
static const struct field of_vm[] = { { "tables", 24 }, { "ept_tables", 25 }, { NULL, 0 } };
static const struct field of_vcpu[] = { { "tables", 24 }, { NULL, 0 } };
static const struct field none[] = { { NULL, 0 } };

/* Takes the fields out of @line; each is there. */
static void check_fields(char *line, const struct field *f, uint64_t n)
{
	for (; f->name; f++) {
		char text[64];
		int len = snprintf(text, sizeof(text), ",\"%s\":%lu", f->name, n + f->number);
		char *at = strstr(line, text);

		assert_non_null(at);
		memmove(at, at + len, strlen(at + len) + 1);
	}
}

static void check_line(char *line, const struct field *fields, const struct field *more, uint64_t n,
		       const char *rest)
{
	check_fields(line, fields, n);
	check_fields(line, more, more == of_vm || more == of_vcpu ? base : n);
	assert_string_equal(line, rest);
}

static void check_records(void)
{
	struct mem_owner owner = { .id = OWNER_MAX };
	struct asi asi = { .pt.nr_tables = base + 24 };
	struct vm vm = { .options.name = "abcdefghijklmnopqrstuvwxyz01234",
			 .owner = &owner,
			 .asi = &asi,
			 .ept.nr_tables = base + 25 };
	struct mem_owner own = { .id = 510, .parent = &owner };
	struct asi own_asi = { .pt.nr_tables = base + 24 };
	struct vcpu vcpu = { .owner = &owner, .asi = &asi };

	nr_lines = 0;
	vm.vcpus[0] = &vcpu;
	vm.nr_vcpus = 1;
	report_mem();
	report_mem_vm(&vm);
	assert_int_equal(nr_lines, 5);
	check_line(lines[0], common, of_machine, base, "@mem {\"class\":\"sensitive\"}");
	check_line(lines[1], common, none, first(GLOBAL), "@mem {\"class\":\"global\"}");
	check_line(lines[2], of_percpu, none, base, "@percpu {\"class\":\"sensitive\"}");
	check_line(lines[3], of_percpu, none, first(GLOBAL), "@percpu {\"class\":\"global\"}");
	check_line(
		lines[4], common, of_vm, first(LOCAL),
		"@mem "
		"{\"class\":\"local\",\"vm\":\"abcdefghijklmnopqrstuvwxyz01234\",\"owner\":511}");

	/* A vCPU with memory of its own has a record of its own. */
	nr_lines = 0;
	vm.asi = NULL;
	vcpu = (struct vcpu){ .owner = &own, .asi = &own_asi };
	report_mem_vm(&vm);
	assert_int_equal(nr_lines, 2);
	check_line(lines[1], common, of_vcpu, first(LOCAL),
		   "@mem {\"class\":\"local\",\"vm\":\"abcdefghijklmnopqrstuvwxyz01234\","
		   "\"vcpu\":0,\"owner\":510}");
}

static void test_records(void **state)
{
	(void)state;
	base = 1000;
	check_records();
	/* As many bytes as 8 TiB have, in every field. */
	base = PHYS_LIMIT;
	check_records();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_records) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
