/* SPDX-License-Identifier: MIT */
/* asi/switch.c: what is done, in which order, and what is counted. TLB: test_asi_tlb.c, NMIs: test_asi_nmi.c. */
#include "unittests/asi_switch.h"

/* The first enter drops what the PCID held, later ones keep it; relax does nothing; exit keeps all. */
static void test_sequence(void **state)
{
	struct asi *a = domains[0], *b = domains[1];

	(void)state;
	assert_false(asi_enter(a)); /* it was not there already */
	check_log("F W1 ");
	check_in(a);
	assert_true(asi_enter(a));
	check_log("");
	check_in(a);
	asi_relax();
	check_log("");
	assert_ptr_equal(asi_curr, a);
	assert_null(asi_target);
	asi_enter(a);
	check_log("");
	check_in(a);
	asi_relax();
	asi_exit();
	check_log("F N0 ");
	check_out();
	asi_exit();
	check_log("");
	asi_enter(a);
	check_log("F N1 ");
	check_in(a);
	asi_relax();
	asi_enter(b); /* without an exit in between */
	check_log("F W2 ");
	check_in(b);
	asi_relax();
	asi_enter(a);
	check_log("F N1 ");
	check_in(a);
	asi_relax();
	asi_exit();
	check_log("F N0 ");
}

/* Every count is of what the sequence says. */
static void test_counts(void **state)
{
	struct asi *a = domains[0];

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		asi_enter(a);
		asi_relax();
		asi_enter(a);
		asi_relax();
		i % 2 ? asi_exit() : switch_exit(ASI_BY_FAULT);
		asi_exit();
	}
	switch_note_spurious();
	assert_int_equal(asi_cpu_stats()->enters, 5); /* the other five were there already */
	assert_int_equal(asi_cpu_stats()->exits[ASI_BY_CALL], 2);
	assert_int_equal(asi_cpu_stats()->exits[ASI_BY_FAULT], 3);
	assert_int_equal(asi_crossings(), 5);
	assert_int_equal(asi_cpu_stats()->cr3_flush, 1);
	assert_int_equal(asi_cpu_stats()->cr3_noflush, 9);
	assert_int_equal(asi_cpu_stats()->spurious, 1);
	assert_int_equal(asi_cpu_stats()->tlb_flushes, 0);
}

/* Without PCIDs every write drops everything, and none has bit 63 or a PCID in it. */
static void test_no_pcid(void **state)
{
	struct asi *a = domains[0];

	(void)state;
	switch_reset(false, 0);
	for (unsigned int i = 0; i < 2; i++) {
		asi_enter(a);
		check_log("F W0 ");
		check_in(a);
		asi_enter(a);
		check_log("");
		fake_mmu_unmapped(a->pt.root);
		asi_flush_local(a, 0, ~0UL);
		check_log("F I0 ");
		check_in(a);
		asi_relax();
		asi_exit();
		check_log("F W0 ");
		check_out();
		asi_flush_local(a, 0, ~0UL);
		check_log("F ");
	}
	assert_int_equal(asi_cpu_stats()->cr3_flush, 4);
	assert_int_equal(asi_cpu_stats()->cr3_noflush, 0);
}

static const struct asi *expected;
static struct asi *curr_before;
static uint64_t cr3_before;
static unsigned int cr3_writes;

/* Called right before and right after each CR3 write, and elsewhere. */
static void sample_curr(void)
{
	if (fake_cr3 != cr3_before) {
		assert_ptr_equal(curr_before, expected);
		assert_ptr_equal(asi_curr, expected);
		cr3_writes++;
	}
	cr3_before = fake_cr3;
	curr_before = asi_curr;
}

/* curr is the domain before CR3 is, and until after CR3 is not, on every road in and out. */
static void test_curr_covers_cr3(void **state)
{
	(void)state;
	for (unsigned int pcid = 0; pcid < 2; pcid++) {
		switch_reset(pcid, 0);
		cr3_before = fake_cr3;
		cr3_writes = 0;
		fake_mmu_point = sample_curr;
		expected = domains[0];
		asi_enter(domains[0]);
		assert_int_equal(cr3_writes, 1);
		expected = domains[1];
		asi_enter(domains[1]);
		asi_relax();
		asi_exit();
		assert_int_equal(cr3_writes, 3);
		expected = domains[0];
		asi_enter(domains[0]);
		trap_depth = 1;
		switch_exit(ASI_BY_FAULT);
		trap_depth = 0;
		asi_intr_exit();
		asi_relax();
		trap_leave_restricted();
		assert_int_equal(cr3_writes, 7);
		check_out();
	}
}

/* An outermost return goes to the target if there is one and it is not loaded; otherwise nowhere. */
static void test_intr_exit(void **state)
{
	struct asi *a = domains[0], *b = domains[1];

	(void)state;
	asi_intr_exit();
	check_log("");
	check_out();
	asi_enter(a);
	check_log("F W1 ");
	asi_intr_exit();
	check_log("");
	check_in(a);
	trap_depth = 1;
	asi_exit();
	trap_depth = 0;
	assert_ptr_equal(asi_target, a);
	check_log("F N0 ");
	asi_intr_exit();
	check_log("F N1 ");
	check_in(a);
	asi_target = b; /* interrupted between the first and the second store of asi_enter(b) */
	asi_intr_exit();
	check_log("F W2 ");
	check_in(b);
	asi_relax();
	asi_intr_exit();
	check_log("");
	assert_ptr_equal(asi_curr, b);
	asi_exit();
	check_log("F N0 ");
	asi_intr_exit();
	check_log("");
	check_out();
}

/* A VM without ASI has no domain: nothing happens, and its HOST_CR3 is the unrestricted one. */
static void test_null(void **state)
{
	(void)state;
	asi_enter(NULL);
	asi_relax();
	asi_exit();
	asi_put(NULL);
	check_log("");
	check_out();
	assert_null(asi_target);
	assert_int_equal(asi_host_cr3(), hostmap_cr3());
	asi_check_entry(NULL, hostmap_cr3());
	assert_int_equal(asi_cpu_stats()->enters, 0);
}

/* With ASI off no domain is made, and that is no error. */
static void test_off(void **state)
{
	struct asi *asi = domains[0];

	(void)state;
	switch_init(false);
	assert_int_equal(asi_create(ASI_GUEST_VM, &fake_owners[DOMAINS], &asi), 0);
	assert_null(asi);
	switch_init(true);
}

/* Exit leaves interrupts as they were. */
static void test_interrupt_flag(void **state)
{
	(void)state;
	asi_enter(domains[0]);
	asi_relax();
	fake_irqs_on = true;
	asi_exit();
	assert_true(fake_irqs_on);
	asi_exit();
	assert_true(fake_irqs_on);
	expect_assert_failure(asi_enter(domains[0]));
}

/* What a single wrong thing is, beside which all is right for an entry into the first domain. */
static void wrong_irqs(void)
{
	fake_irqs_on = true;
}

static void wrong_cr3(void)
{
	write_cr3(hostmap_cr3());
}

static void wrong_host_cr3(void)
{
	asi_cr3 = hostmap_cr3();
}

static void wrong_bit_63(void)
{
	asi_cr3 |= CR3_NOFLUSH;
}

static void wrong_depth(void)
{
	trap_depth = 1;
}

static void wrong_curr(void)
{
	asi_curr = NULL;
}

static void wrong_both(void)
{
	asi_curr = asi_target = domains[1];
}

static void wrong_no_target(void)
{
	asi_target = NULL;
}

static void wrong_target(void)
{
	asi_target = domains[1];
}

static void wrong_owed(void)
{
	asi_clean = NULL; /* as after leaving */
}

static void wrong_clean_for_other(void)
{
	asi_clean = domains[1]; /* entered without the hook */
}

static void refused(const struct asi *asi, void (*wrong)(void), bool pcid)
{
	switch_reset(pcid, 0);
	asi_enter(domains[1]);
	asi_enter(domains[0]);
	asi_check_entry(domains[0], asi_host_cr3());
	wrong();
	expect_assert_failure(asi_check_entry(asi, asi_host_cr3()));
}

/* A VM entry is refused for each single thing that is wrong. */
static void test_check_entry(void **state)
{
	static void (*const wrongs[])(void) = {
		wrong_irqs,
		wrong_cr3,
		wrong_host_cr3,
		wrong_bit_63,
		wrong_depth,
		wrong_curr,
		wrong_both,
		wrong_no_target,
		wrong_target,
		wrong_owed,
		wrong_clean_for_other,
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(wrongs); i++) {
		refused(domains[0], wrongs[i], true);
		refused(domains[0], wrongs[i], false);
	}
}

/* What another CPU unmaps between enter and VM entry is flushed right before the latter, and counted. */
static void test_check_entry_late(void **state)
{
	const uint64_t at = LOCALMAP_BASE + MiB(64);
	struct asi *a = domains[0];

	(void)state;
	asi_enter(a);
	check_log("F W1 ");
	asi_check_entry(a, asi_host_cr3());
	check_log("");
	fake_mmu_unmapped_at(a->pt.root, at);
	next_generation(a, at, PAGEBLOCK_SIZE);
	asi_check_entry(a, asi_host_cr3());
	check_log("P1 ");
	check_in(a);
	fake_mmu_unmapped(a->pt.root);
	next_generation(a, 0, ~0UL);
	asi_check_entry(a, asi_host_cr3());
	check_log("I1 ");
	check_in(a);
	assert_int_equal(asi_cpu_stats()->tlb_late, 2);
	asi_check_entry(a, asi_host_cr3());
	check_log("");
}

static void wrong_nothing(void)
{
}

/* A VM without ASI, or another VM, does not enter from here. */
static void test_check_entry_domain(void **state)
{
	(void)state;
	refused(NULL, wrong_nothing, true);
	refused(domains[1], wrong_nothing, true);
	refused(NULL, wrong_curr, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sequence, fresh),
		cmocka_unit_test_setup(test_counts, fresh),
		cmocka_unit_test_setup(test_no_pcid, fresh),
		cmocka_unit_test_setup(test_curr_covers_cr3, fresh),
		cmocka_unit_test_setup(test_intr_exit, fresh),
		cmocka_unit_test_setup(test_null, fresh),
		cmocka_unit_test_setup(test_off, fresh),
		cmocka_unit_test_setup(test_interrupt_flag, fresh),
		cmocka_unit_test_setup(test_check_entry, fresh),
		cmocka_unit_test_setup(test_check_entry_late, fresh),
		cmocka_unit_test_setup(test_check_entry_domain, fresh),
	};

	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
