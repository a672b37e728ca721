/* SPDX-License-Identifier: MIT */
/* asi/crossing.c: rows, their order and their limits; asi/describe.c: what an address is, in words. */
#include <stdio.h>
#include <string.h>
#include "unittests/memory.h"
#include "arch/trace.h"
#include "arch/cpus.h"
#include "asi/crossing.h"
#include "lib/symbol.h"
#include "mm/memmap.h"
#include "mm/page.h"
#include "mm/slab.h"

#define STATIC	 (IMAGE_BASE + 0x1000)
#define TEMPLATE (IMAGE_BASE + 0x2000)
#define AREA	 (VMALLOC_SENSITIVE_BASE + 0x5000)
#define ROWS	 64
#define TRACE	 128

uint64_t fake_tsc;
static struct asi domain = { .id = 7 }, other = { .id = 8 };
static struct slab_cache cache = { .name = "things", .order = 1, .nr_slabs = 3 };
static const void *in_slab;

/* ---- what describe.c asks ---- */

bool symbol_holding(uint64_t addr, struct symbol *out)
{
	static const struct symbol thing = { STATIC, TEMPLATE - STATIC, "thing" };
	static const struct symbol per_cpu_thing = { TEMPLATE, 0x100, "per_cpu_thing" };

	*out = addr < TEMPLATE ? thing : per_cpu_thing;
	return addr >= STATIC && addr < TEMPLATE + 0x100;
}

uint32_t cpus_nr(void)
{
	return 3;
}

uint64_t percpu_template(uint64_t va)
{
	return va - PERCPU_SENSITIVE_BASE < 0x100 ? TEMPLATE + (va - PERCPU_SENSITIVE_BASE) : 0;
}

bool vmalloc_area_of(const void *hva, void **start, size_t *len)
{
	*start = (void *)AREA;
	*len = 0x2000;
	return (uint64_t)hva - AREA < 0x2000;
}

struct slab_cache *slab_cache_of(const void *hva)
{
	return hva == in_slab ? &cache : NULL;
}

const char *hostmap_region(uint64_t va)
{
	(void)va;
	return "somewhere";
}

/* ---- tests ---- */

static void note(enum asi_cause cause, uint64_t rip, uint64_t caller, uint64_t address)
{
	fake_tsc++;
	crossing_note(cause, &domain, rip, caller, address, 2);
}

static bool find(uint64_t rip, uint64_t caller, struct asi_crossing *out)
{
	for (unsigned int i = 0; asi_crossing_get(i, out); i++)
		if (out->rip == rip && out->caller == caller)
			return true;
	return false;
}

/* A row for each cause, instruction, caller and region; what it met is what it met first. */
static void test_rows(void **state)
{
	struct asi_crossing row;

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		note(ASI_BY_FAULT, 100, 1, STATIC + i);
		note(ASI_BY_FAULT, 100, 2, STATIC + 0x20 + i);
		note(ASI_BY_CALL, 200, 0, 0);
		note(ASI_BY_CALL, 200, 0, 0);
	}
	note(ASI_BY_FAULT, 200, 9, STATIC);
	note(ASI_BY_FAULT, 200, 9, AREA + 8);
	assert_true(find(100, 1, &row));
	assert_int_equal(row.count, 10);
	assert_int_equal(row.address, STATIC);
	assert_int_equal(row.domain, 7);
	assert_string_equal(row.what, "static thing+0x0");
	assert_int_equal(row.bytes, TEMPLATE - STATIC);
	assert_false(row.others);
	assert_true(find(100, 2, &row));
	assert_string_equal(row.what, "static thing+0x20");
	assert_true(find(200, 0, &row));
	assert_int_equal(row.cause, ASI_BY_CALL);
	assert_int_equal(row.count, 20);
	assert_string_equal(row.what, "");
	assert_true(find(200, 9, &row));
	assert_int_equal(row.count, 1);

	crossing_note(ASI_BY_FAULT, &other, 200, 9, AREA, 2);
	assert_true(find(200, 9, &row));
	assert_true(row.others);

	/* The most frequent first. */
	assert_true(asi_crossing_get(0, &row));
	assert_int_equal(row.count, 20);
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t before = row.count;

		assert_true(asi_crossing_get(i, &row));
		assert_true(row.count <= before);
	}
}

/* Those that are forgotten are not there, nor found by who comes again. */
static void test_forget(void **state)
{
	unsigned int nr = crossing_rows();
	struct asi_crossing row;

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		note(ASI_BY_FAULT, 900 + i, 0, STATIC);
	crossing_forget(nr + 3);
	assert_int_equal(crossing_rows(), nr + 3);
	crossing_forget(nr);
	assert_int_equal(crossing_rows(), nr);
	for (unsigned int i = 0; i < 3; i++)
		assert_false(find(900 + i, 0, &row));
	note(ASI_BY_FAULT, 900, 0, STATIC);
	note(ASI_BY_FAULT, 902, 0, STATIC);
	assert_int_equal(crossing_rows(), nr + 2);
	assert_true(find(902, 0, &row));
	assert_int_equal(row.count, 1);
	crossing_forget(nr);
}

/* A full table takes no more places, says how many it lost, and goes on counting those it has. */
static void test_full(void **state)
{
	struct asi_crossing row;
	unsigned int nr = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		note(ASI_BY_FAULT, 5000 + i, 0, STATIC);
	while (asi_crossing_get(nr, &row))
		nr++;
	assert_int_equal(nr, ROWS);
	assert_int_equal(asi_crossings_lost(), 1000 - (ROWS - 5));
	note(ASI_BY_FAULT, 5000, 0, STATIC);
	assert_true(find(5000, 0, &row));
	assert_int_equal(row.count, 2);
	assert_true(find(200, 0, &row)); /* of test_rows: the most frequent of all */
	assert_int_equal(row.count, 20);
}

/* Each goes to the trace, one by fault with the address and the error code behind it. */
static void test_trace(void **state)
{
	static struct trace_ring ring;
	struct trace_event e;

	(void)state;
	trace_use(0, &ring);
	note(ASI_BY_FAULT, IMAGE_BASE + 9000, 0, STATIC + 1);
	note(ASI_BY_CALL, IMAGE_BASE + 9001, 0, 0);
	trace_use(0, NULL);
	note(ASI_BY_CALL, IMAGE_BASE + 9002, 0, 0);
	assert_int_equal(ring.nr, 3);
	assert_true(trace_get(&ring, 0, &e));
	assert_int_equal(trace_type(&e), TRACE_CROSSING);
	assert_int_equal(trace_arg(&e), 9000);
	assert_true(trace_get(&ring, 1, &e));
	assert_int_equal(trace_type(&e), TRACE_TOUCHED);
	assert_int_equal(e.tsc, STATIC + 1);
	assert_int_equal(trace_arg(&e), 2);
	assert_true(trace_get(&ring, 2, &e));
	assert_int_equal(trace_arg(&e), TRACE_BY_CALL | 9001);
}

static void says(uint64_t va, uint64_t bytes, const char *want)
{
	char buf[CROSSING_WHAT_MAX];

	assert_int_equal(asi_describe(va, buf, sizeof(buf)), bytes);
	assert_string_equal(buf, want);
}

static void test_describe(void **state)
{
	struct mem_owner owner;
	void *page, *local;

	(void)state;
	mem_owner_init(&owner, 3);
	page = page_alloc(2, SENSITIVE, NULL);
	local = page_alloc(0, LOCAL, &owner);
	says(STATIC + 0x10, TEMPLATE - STATIC, "static thing+0x10");
	says(PERCPU_SENSITIVE_BASE + 8, 3 * 0x100, "per-CPU per_cpu_thing+0x8");
	says(AREA + 0x1001, 0x2000, "vmalloc area 0xffff908000005000 of 8192 bytes, at 4097");
	says((uint64_t)page, 4 * PAGE_SIZE, "sensitive page, used, order 2, owner 0");
	says((uint64_t)page + 3 * PAGE_SIZE + 5, 4 * PAGE_SIZE,
	     "sensitive page, used, order 2, owner 0");
	says((uint64_t)local, PAGE_SIZE, "local page, used, order 0, owner 3");
	in_slab = page;
	says((uint64_t)page, 3 * 2 * PAGE_SIZE, "slab things");
	in_slab = NULL;
	says(SELF_PAGE, 0, "somewhere");
	page_free(page, 2);
	page_free(local, 0);
	mem_owner_destroy(&owner);
}

static int setup(void **state)
{
	assert_int_equal(memmap_add(MiB(1), MiB(64)), 0);
	return memory_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	 cmocka_unit_test(test_forget),
		cmocka_unit_test(test_full),	 cmocka_unit_test(test_trace),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
