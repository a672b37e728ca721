/* SPDX-License-Identifier: MIT */
/*
 * mm/vmalloc.c over a fake of mm/hostmap.c; included as source, to reach the end of
 * an address range without the memory for it. Each test ends with nothing mapped or in use.
 * Here each vfree is followed by a flush; what is kept aside in between is test_vmalloc_lazy.c.
 */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "lib/compiler.h"
#include "mm/vmalloc.c"
#include "unittests/fake/hostmap.h"
#include "unittests/seed.h"

static struct mem_owner owners[3];

static int setup(void **state)
{
	mem_owner_init(&owners[0], 1);
	mem_owner_init(&owners[1], 2);
	mem_owner_init(&owners[2], OWNER_MAX);
	return memory_setup(state);
}

static int check_all_returned(void **state)
{
	(void)state;
	vmalloc_flush();
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		mem_owner_destroy(&owners[i]);
	return memory_used() || fake_hostmap_pages ? -1 : 0;
}

static void vfree_now(void *hva)
{
	vfree(hva);
	vmalloc_flush();
}

static uint64_t base_of(enum mem_class class, const struct mem_owner *owner)
{
	switch (class) {
	case SENSITIVE:
		return VMALLOC_SENSITIVE_BASE;
	case GLOBAL:
		return VMALLOC_GLOBAL_BASE;
	default:
		return VMALLOC_LOCAL_BASE + owner->id * VMALLOC_LOCAL_SIZE;
	}
}

/* Every page of the area is mapped, to cleared memory of the class and owner; the guards are not. */
static void check_area(const uint8_t *hva, size_t len, enum mem_class class,
		       struct mem_owner *owner)
{
	uint64_t end =
		base_of(class, owner) + (class == LOCAL ? VMALLOC_LOCAL_SIZE : PML4_SLOT_SIZE);
	size_t mapped = ALIGN_UP(len, PAGE_SIZE), found_len;
	void *found;

	assert_non_null(hva);
	assert_true(IS_ALIGNED((uint64_t)hva, PAGE_SIZE));
	assert_true((uint64_t)hva > base_of(class, owner));
	assert_true((uint64_t)hva + mapped < end);
	for (size_t at = 0; at < mapped; at += PAGE_SIZE) {
		hpa_t frame = hostmap_vlookup(hva + at);

		assert_int_not_equal(frame.v, HPA_NONE.v);
		assert_int_equal(pfn_to_pageblock(hpa_to_pfn(frame))->class, class);
		assert_ptr_equal(pfn_to_pageblock(hpa_to_pfn(frame))->owner, owner);
		assert_true(fake_ram_is_zero(frame, PAGE_SIZE));
	}
	assert_int_equal(hostmap_vlookup(hva - 1).v, HPA_NONE.v);
	assert_int_equal(hostmap_vlookup(hva + mapped).v, HPA_NONE.v);
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *probe[] = { hva, hva + len - 1, hva - 1, hva + mapped };

		assert_true(vmalloc_area_of(probe[i], &found, &found_len));
		/* A guard page between two areas belongs to the upper one. */
		if (i != 3) {
			assert_ptr_equal(found, hva);
			assert_int_equal(found_len, mapped);
		}
	}
}

/* An area is as long as asked, in its class's range, and gives all of it back. */
static void test_lengths(void **state)
{
	static const size_t lens[] = { 1, 4095, 4096, 4097, 65536, 511 * 4096, 3000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		void *s = vmalloc(lens[i], SENSITIVE, NULL);
		void *g = vmalloc(lens[i], GLOBAL, NULL);
		void *l = vmalloc(lens[i], LOCAL, &owners[0]);
		void *m = vmalloc(lens[i], LOCAL, &owners[2]);

		check_area(s, lens[i], SENSITIVE, NULL);
		check_area(g, lens[i], GLOBAL, NULL);
		check_area(l, lens[i], LOCAL, &owners[0]);
		check_area(m, lens[i], LOCAL, &owners[2]);
		vfree_now(s);
		vfree_now(g);
		vfree_now(l);
		vfree_now(m);
		assert_int_equal(memory_used(), 0);
		assert_int_equal(fake_hostmap_pages, 0);
	}
}

/* Addresses are used again, lowest first, when the hole is large enough with its guard. */
static void test_first_fit(void **state)
{
	uint8_t *a = vmalloc(PAGE_SIZE, GLOBAL, NULL);
	uint8_t *b = vmalloc(3 * PAGE_SIZE, GLOBAL, NULL);
	uint8_t *c = vmalloc(PAGE_SIZE, GLOBAL, NULL), *d, *e;

	(void)state;
	assert_int_equal(a, VMALLOC_GLOBAL_BASE + PAGE_SIZE);
	assert_ptr_equal(b, a + 2 * PAGE_SIZE);
	assert_ptr_equal(c, b + 4 * PAGE_SIZE);
	vfree_now(b);
	d = vmalloc(4 * PAGE_SIZE, GLOBAL, NULL);
	assert_ptr_equal(d, c + 2 * PAGE_SIZE);
	b = vmalloc(PAGE_SIZE, GLOBAL, NULL);
	assert_ptr_equal(b, a + 2 * PAGE_SIZE);
	e = vmalloc(PAGE_SIZE, GLOBAL, NULL);
	assert_ptr_equal(e, b + 2 * PAGE_SIZE);
	vfree_now(a);
	vfree_now(b);
	vfree_now(c);
	vfree_now(d);
	vfree_now(e);
}

/* An area ends at least a page before its range does, and where an owner's window begins. */
static void test_range_end(void **state)
{
	struct vm_area area = { .nr_pages = (VMALLOC_LOCAL_SIZE - WINDOW_SIZE) / PAGE_SIZE - 1 };

	(void)state;
	assert_false(area_insert(&area, range_of(LOCAL, &owners[0]), &owners[0]));
	area.nr_pages--;
	assert_true(area_insert(&area, range_of(LOCAL, &owners[0]), &owners[0]));
	area_remove(&area, range_of(LOCAL, &owners[0]));
}

/* Nothing of a GLOBAL or LOCAL area, descriptor included, lies in SENSITIVE memory. */
static void test_descriptor_class(void **state)
{
	void *hva[] = { vmalloc(1, GLOBAL, NULL), vmalloc(1, LOCAL, &owners[0]) };
	struct buddy_stats s;

	(void)state;
	buddy_get_stats(&s);
	assert_int_equal(s.free_pages[SENSITIVE], s.block_pages[SENSITIVE]);
	assert_int_equal(s.block_pages[LOCAL] - s.free_pages[LOCAL], 2);
	vfree_now(hva[0]);
	vfree_now(hva[1]);
}

/* Only the start of an area, once, can be freed. */
static void test_misuse(void **state)
{
	uint8_t *hva = vmalloc(2 * PAGE_SIZE, LOCAL, &owners[1]);
	char named[64];

	vfree(NULL);
	expect_assert_failure(vfree(hva + PAGE_SIZE));
	snprintf(named, sizeof(named), "vfree of 0x%lx, called from 0x", (uint64_t)hva + PAGE_SIZE);
	assert_non_null(strstr(fake_panic_text, named));
	assert_true(panic_names(test_misuse));
	expect_assert_failure(vfree(hva + 1));
	expect_assert_failure(vfree(hva - PAGE_SIZE));
	expect_assert_failure(vfree(hva - VMALLOC_LOCAL_SIZE)); /* same offset, another owner */
	expect_assert_failure(vfree((void *)(VMALLOC_GLOBAL_BASE + PAGE_SIZE)));
	expect_assert_failure(vfree((void *)(VMALLOC_LOCAL_BASE + PML4_SLOT_SIZE - PAGE_SIZE)));
	expect_assert_failure(vfree((void *)(VMALLOC_LOCAL_BASE + PML4_SLOT_SIZE)));
	expect_assert_failure(vfree(state));
	expect_assert_failure(vmalloc(0, SENSITIVE, NULL));
	expect_assert_failure(vmalloc(1, MEM_CLASS_NR, NULL));
	expect_assert_failure(vmalloc(1, LOCAL, NULL));
	expect_assert_failure(vmalloc(1, GLOBAL, &owners[0]));
	assert_non_null(strstr(fake_panic_text, "class 1, owner 1, called from 0x"));
	assert_true(panic_names(test_misuse));
	expect_assert_failure(mem_owner_destroy(&owners[1]));
	expect_assert_failure(vmalloc_owner_end(&owners[1]));
	assert_non_null(strstr(fake_panic_text, "owner 2 ends"));
	vfree(hva);
	expect_assert_failure(vfree(hva)); /* kept aside */
	assert_non_null(strstr(fake_panic_text, "freed already"));
	vmalloc_flush();
	expect_assert_failure(vfree(hva)); /* gone */
	assert_non_null(strstr(fake_panic_text, "not the start"));
}

/* No area is found where none is. */
static void test_area_of_nothing(void **state)
{
	uint8_t *hva = vmalloc(PAGE_SIZE, SENSITIVE, NULL);
	void *start;
	size_t len;

	assert_false(vmalloc_area_of(NULL, &start, &len));
	assert_false(vmalloc_area_of(state, &start, &len));
	assert_false(vmalloc_area_of(hva + 2 * PAGE_SIZE, &start, &len));
	assert_false(vmalloc_area_of((void *)VMALLOC_GLOBAL_BASE, &start, &len));
	assert_false(vmalloc_area_of((void *)VMALLOC_LOCAL_BASE, &start, &len));
	vfree_now(hva);
	assert_false(vmalloc_area_of(hva, &start, &len));
}

/* Whichever allocation fails, or the mapping, vmalloc returns NULL and leaks nothing. */
static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned int class = 0; class < MEM_CLASS_NR; class ++) {
		struct mem_owner *owner = class == LOCAL ? &owners[0] : NULL;

		for (unsigned int n = 1; n <= 6; n++) { /* a descriptor, five pages */
			buddy_fail_after(n);
			assert_null(vmalloc(5 * PAGE_SIZE, class, owner));
			assert_int_equal(memory_used(), 0);
		}
		fake_hostmap_fails = true;
		assert_null(vmalloc(5 * PAGE_SIZE, class, owner));
		assert_int_equal(memory_used(), 0);
		check_area(vmalloc(5 * PAGE_SIZE, class, owner), 5 * PAGE_SIZE, class, owner);
		vfree_now((void *)(base_of(class, owner) + PAGE_SIZE));
	}
	assert_null(vmalloc(MiB(100), SENSITIVE, NULL)); /* more than there is */
	assert_null(vmalloc(GiB(900), SENSITIVE, NULL)); /* more than there are addresses */
	assert_null(vmalloc(~0UL, SENSITIVE, NULL));
	assert_null(vmalloc(GiB(1), LOCAL, &owners[0]));
	assert_int_equal(memory_used(), 0);
}

#define LIVE 60

/* A random walk: areas never meet, whatever class, and each keeps its pages to itself. */
static void test_random_walk(void **state)
{
	static struct {
		uint8_t *hva;
		size_t len;
	} live[LIVE];

	(void)state;
	seed_start(0x766d);
	for (unsigned int step = 0; step < 4000; step++) {
		unsigned int i = (unsigned int)seed_below(LIVE), class = i % MEM_CLASS_NR;
		struct mem_owner *owner =
			class == LOCAL ? &owners[i / 3 % ARRAY_SIZE(owners)] : NULL;

		if (live[i].hva) {
			vfree_now(live[i].hva);
			live[i].hva = NULL;
			continue;
		}
		live[i].len = 1 + seed_below(12 * PAGE_SIZE);
		live[i].hva = vmalloc(live[i].len, class, owner);
		check_area(live[i].hva, live[i].len, class, owner);
		for (unsigned int j = 0; j < LIVE; j++) {
			uint64_t guarded = (uint64_t)live[i].hva - PAGE_SIZE;
			uint64_t bytes = ALIGN_UP(live[i].len, PAGE_SIZE) + 2 * PAGE_SIZE;

			if (j != i && live[j].hva)
				assert_false(ranges_overlap(guarded, bytes, (uint64_t)live[j].hva,
							    live[j].len));
		}
	}
	for (unsigned int i = 0; i < LIVE; i++)
		vfree_now(live[i].hva);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lengths, check_all_returned),
		cmocka_unit_test_teardown(test_first_fit, check_all_returned),
		cmocka_unit_test_teardown(test_range_end, check_all_returned),
		cmocka_unit_test_teardown(test_descriptor_class, check_all_returned),
		cmocka_unit_test_teardown(test_misuse, check_all_returned),
		cmocka_unit_test_teardown(test_area_of_nothing, check_all_returned),
		cmocka_unit_test_teardown(test_no_memory, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
