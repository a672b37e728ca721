/* SPDX-License-Identifier: MIT */
/* asi/window.c on the real page tables: shown in the owner's space and the unrestricted one, and nowhere else. */
#include "unittests/asi_map.h"
#include "asi/window.h"
#include "lib/errno.h"

#define OWNER (&fake_owners[0])

static struct window w;
static uint64_t used;
static hpa_t frame;

static int setup(void **state)
{
	(void)state;
	fake_irqs_on = false;
	used = memory_used();
	fake_mmu_reset(true, hostmap_cr3());
	assert_int_equal(window_create(&w, OWNER), 0);
	frame = hva_to_hpa(page_alloc(0, SENSITIVE, NULL));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	page_free(hpa_to_direct(frame), 0);
	window_destroy(&w);
	assert_null(w.table);
	window_destroy(&w); /* nothing more to do */
	assert_int_equal(memory_used(), used);
	assert_int_equal(violations(), 0);
	return 0;
}

static struct pt_walk look(const struct ptable *pt)
{
	return ptable_walk(pt, WINDOW_BASE(OWNER->id) + cpu_number * PAGE_SIZE);
}

static void check_closed(void)
{
	assert_int_equal(look(hostmap_ptable()).entry, PTE_ABSENT);
	assert_int_equal(look(&vms[0]->pt).entry, PTE_ABSENT);
	for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
		assert_int_equal(w.table[i], PTE_ABSENT);
	assert_int_equal(violations(), 0);
}

/* Open it maps one page, without rights to execute, in these two spaces; closed it holds no frame. */
static void test_open_close(void **state)
{
	(void)state;
	for (cpu_number = 0; cpu_number < CPUS_MAX; cpu_number += CPUS_MAX - 1) {
		struct window_page page;
		struct pt_walk host, own;

		check_closed();
		page = window_open(&w, frame);
		host = look(hostmap_ptable());
		own = look(&vms[0]->pt);
		assert_int_equal((uint64_t)page.hva,
				 WINDOW_BASE(OWNER->id) + cpu_number * PAGE_SIZE);
		assert_true(host.present && host.level == 0 && host.hpa.v == frame.v);
		assert_true(host.rights & PTE_W && host.rights & PTE_NX);
		assert_int_equal(own.entry, host.entry);
		assert_int_equal(own.rights, host.rights);
		assert_false(host.entry & (PTE_U | PTE_G));
		for (unsigned int i = 1; i < VMS; i++)
			assert_false(look(&vms[i]->pt).present);
		assert_int_equal(violations(), 2); /* left open, it would be found in both */
		expect_assert_failure(window_open(&w, frame));
		fake_mmu_log[0] = '\0';
		window_close(&w, page);
		assert_string_equal(fake_mmu_log, "P ");
		check_closed();
	}
	cpu_number = 0;
}

/* What the domain's PCID may have of it is flushed: at once, or where it was left, at its next entry. */
static void test_crossing(void **state)
{
	struct window_page page;
	uint64_t gen;

	(void)state;
	asi_enter(vms[0]);
	asi_relax();
	gen = vms[0]->tlb_gen;
	page = window_open(&w, frame);
	assert_ptr_equal(page.space, vms[0]);
	fake_mmu_log[0] = '\0';
	window_close(&w, page);
	assert_string_equal(fake_mmu_log, "P ");
	assert_int_equal(vms[0]->tlb_gen, gen);

	page = window_open(&w, frame);
	fake_mmu_log[0] = '\0';
	asi_exit();
	window_close(&w, page);
	check_closed();
	assert_string_equal(
		fake_mmu_log,
		"N0 P P1 "); /* what both PCIDs have of it, and nobody else's business */
	assert_int_equal(vms[0]->tlb_gen, gen);
	fake_mmu_log[0] = '\0';
	asi_enter(vms[0]);
	assert_string_equal(fake_mmu_log, "N1 ");
	asi_relax();
	asi_exit();
}

/* The audit lets pass the one table that is LOCAL: in its place, and of the right owner. */
static void test_audit(void **state)
{
	uint64_t *entry = fake_entry(hostmap_ptable(), WINDOW_BASE(OWNER->id), 1), was = *entry;
	uint64_t *other = page_alloc(0, LOCAL, &fake_owners[1]);

	(void)state;
	assert_int_equal(violations(), 0);
	for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
		other[i] = PTE_ABSENT;
	*entry = (was & ~PTE_ADDR_MASK) | hva_to_hpa(other).v;
	assert_int_equal(violations(), 2); /* by the unrestricted space and by the owner's */
	*entry = was;
	entry[-1] = was; /* another address: the end of the owner's vmalloc areas */
	assert_int_equal(violations(), 2);
	entry[-1] = PTE_ABSENT;
	page_free(other, 0);
}

/* Each allocation that fails leaves nothing. */
static void test_no_memory(void **state)
{
	struct window mine = { 0 };
	uint64_t before = memory_used();
	int err = -ENOMEM;

	(void)state;
	for (unsigned int n = 1; err; n++) {
		buddy_fail_after(n);
		err = window_create(&mine, &fake_owners[1]);
		buddy_fail_after(0);
		assert_int_equal(err ? -ENOMEM : 0, err);
		if (err)
			assert_null(mine.table);
	}
	window_destroy(&mine);
	assert_int_equal(memory_used(), before);
	assert_int_equal(*fake_entry(hostmap_ptable(), WINDOW_BASE(fake_owners[1].id), 1),
			 PTE_ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crossing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_audit, setup, teardown),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, map_setup, map_teardown);
}
