/* SPDX-License-Identifier: MIT */
/* asi/fault.c: which page faults leaving the restricted space serves, and what is counted of them. */
#include <stdio.h>
#include "unittests/memory.h"
#include "unittests/fake/machine.h"
#include "unittests/fake/mmu.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/trap.h"
#include "asi/crossing.h"

#define VA     (VMALLOC_SENSITIVE_BASE + GiB(3))
#define RIP    0xffffffff80201000UL
#define FRAME  MiB(700)
#define ABSENT 0u
#define USER   0x100u /* besides PROT_: the user bit is set */

static struct asi *domain;

static unsigned int nr_strict;

/* Of vmm/strict.c: the guest ends, and the trap returns to where it is given up. */
void asi_strict_stop(struct trap_frame *frame, uint64_t cr2)
{
	assert_int_equal(cr2, VA);
	assert_null(asi_current());
	frame->rip = 0;
	nr_strict++;
}

/* No frame of the interrupted code can be read here. */
_Bool panic_can_read(unsigned long hva)
{
	(void)hva;
	return false;
}

/* What stands in a table for VA. */
static void set_mapping(struct ptable *pt, unsigned int prot)
{
	ptable_unmap(pt, VA, PAGE_SIZE);
	if (prot != ABSENT)
		fake_map(pt, VA, FRAME, prot & ~USER);
	if (prot & USER)
		*fake_entry(pt, VA, 0) |= PTE_U;
}

static bool fault(uint64_t rip, uint64_t cr2, uint64_t error)
{
	struct trap_frame f = { .rip = rip, .error_code = error, .vector = VEC_PF };

	return fault_fixup(&f, cr2);
}

/* A relaxed CPU in the domain, as every handled exit begins. */
static void enter(void)
{
	asi_enter(domain);
	asi_relax();
}

static int setup(void **state)
{
	fake_machine_setup(state);
	fake_irqs_on = false;
	return asi_create(ASI_GUEST_VM, &fake_owners[0], &domain);
}

static int leave(void **state)
{
	(void)state;
	asi_relax();
	asi_exit();
	set_mapping(hostmap_ptable(), ABSENT);
	set_mapping(&domain->pt, ABSENT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	asi_put(domain);
	return 0;
}

enum verdict { REFUSED, SERVED, SPURIOUS };

/* Decided by both walks and the error code: a miss is served, a stale one retried, a bug refused. */
static void test_predicate(void **state)
{
	static const struct {
		unsigned int full, restricted;
		uint64_t error;
		enum verdict verdict;
	} cases[] = {
		/* The usual miss: read, write and fetch of what only the full tables have. */
		{ PROT_R, ABSENT, 0, SERVED },
		{ PROT_RW, ABSENT, PF_WRITE, SERVED },
		{ PROT_RX, ABSENT, PF_FETCH, SERVED },
		{ PROT_RW, PROT_R, PF_WRITE | PF_PRESENT, SERVED },
		{ PROT_RX, PROT_R, PF_FETCH | PF_PRESENT, SERVED },
		{ PROT_RW, PROT_R | USER, PF_WRITE | PF_PRESENT, SERVED },
		/* The full tables do not allow it either: our bug. */
		{ ABSENT, ABSENT, 0, REFUSED },
		{ ABSENT, ABSENT, PF_WRITE, REFUSED },
		{ ABSENT, PROT_RW, 0, REFUSED },
		{ PROT_R, ABSENT, PF_WRITE, REFUSED },
		{ PROT_R, PROT_R, PF_WRITE | PF_PRESENT, REFUSED },
		{ PROT_R, PROT_RW, PF_WRITE | PF_PRESENT, REFUSED },
		{ PROT_RX, ABSENT, PF_WRITE, REFUSED },
		{ PROT_RW, ABSENT, PF_FETCH, REFUSED },
		{ PROT_RW, PROT_RW, PF_FETCH | PF_PRESENT, REFUSED },
		{ PROT_RW | USER, ABSENT, 0, REFUSED },
		{ PROT_RX | USER, ABSENT, PF_FETCH, REFUSED },
		/* Both allow it: a translation was stale. */
		{ PROT_R, PROT_R, 0, SPURIOUS },
		{ PROT_RW, PROT_RW, PF_WRITE, SPURIOUS },
		{ PROT_RW, PROT_RW, PF_WRITE | PF_PRESENT, SPURIOUS },
		{ PROT_RX, PROT_RX, PF_FETCH, SPURIOUS },
		{ PROT_RW, PROT_R, 0, SPURIOUS },
		/* No mapping mends these. */
		{ PROT_RW, ABSENT, PF_USER, REFUSED },
		{ PROT_RW, ABSENT, PF_USER | PF_WRITE, REFUSED },
		{ PROT_RW, ABSENT, PF_RSVD | PF_PRESENT, REFUSED },
		{ PROT_RW, PROT_RW, PF_RSVD | PF_PRESENT, REFUSED },
		{ PROT_RW, ABSENT, PF_PK, REFUSED },
		{ PROT_RW, ABSENT, PF_SS, REFUSED },
		{ PROT_RW, ABSENT, PF_SGX, REFUSED },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct asi_stats before = *asi_cpu_stats();
		unsigned int lines = fake_console_lines;

		set_mapping(hostmap_ptable(), cases[i].full);
		set_mapping(&domain->pt, cases[i].restricted);
		enter();
		assert_int_equal(fault(RIP + i, VA + i, cases[i].error),
				 cases[i].verdict != REFUSED);
		/* Whatever the verdict: out, so that a report can read. */
		assert_null(asi_current());
		assert_int_equal(read_cr3(), hostmap_cr3());
		assert_int_equal(asi_cpu_stats()->exits[ASI_BY_FAULT],
				 before.exits[ASI_BY_FAULT] + 1);
		assert_int_equal(asi_cpu_stats()->exits[ASI_BY_CALL], before.exits[ASI_BY_CALL]);
		assert_int_equal(asi_cpu_stats()->spurious - before.spurious,
				 cases[i].verdict == SPURIOUS);
		/* A refused one prints a line, and one for each walk. */
		assert_int_equal(fake_console_lines - lines, cases[i].verdict == REFUSED ? 3 : 0);
	}
}

/*
 * Outside of every domain a page fault is a bug, and nothing is switched for it; unless the tables allow
 * the access: then the domain was left by an NMI before the handler looked. That ends too, if it repeats.
 */
static void test_not_in_domain(void **state)
{
	uint64_t before = asi_crossings(), spurious = asi_cpu_stats()->spurious, rounds = 0;

	(void)state;
	set_mapping(hostmap_ptable(), PROT_R);
	fake_mmu_log[0] = '\0';
	assert_false(fault(RIP, VA, PF_WRITE | PF_PRESENT));
	assert_false(fault(RIP, VA + PAGE_SIZE, 0));
	assert_false(fault(RIP, VA, PF_RSVD | PF_PRESENT));
	assert_int_equal(asi_cpu_stats()->spurious, spurious);
	assert_true(fault(RIP, VA, 0));
	assert_int_equal(asi_cpu_stats()->spurious, spurious + 1);
	while (fault(RIP + 1, VA, 0))
		assert_true(++rounds < 100);
	assert_string_equal(fake_mmu_log, "");
	assert_int_equal(asi_crossings(), before);
}

/* In a critical section the outermost return undoes what the fault did: that ends after some rounds. */
static void test_watchdog(void **state)
{
	unsigned int rounds = 0;

	(void)state;
	set_mapping(hostmap_ptable(), PROT_RW);
	asi_enter(domain);
	while (fault(RIP + 0x100, VA, 0)) {
		assert_ptr_equal(asi_current(), NULL);
		asi_intr_exit();
		assert_ptr_equal(asi_current(), domain);
		assert_true(++rounds < 100);
	}
	assert_in_range(rounds, 2, 20);
	/* Two addresses in turn are progress, as an instruction may have several. */
	asi_enter(domain);
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(fault(RIP + 0x100, VA + i % 2, 0));
		asi_intr_exit();
	}
}

/* The same instruction may meet the same memory in exit after exit: each asi_enter is progress. */
static void test_watchdog_lets_pass(void **state)
{
	(void)state;
	set_mapping(hostmap_ptable(), PROT_RW);
	for (unsigned int i = 0; i < 1000; i++) {
		enter();
		assert_true(fault(RIP + 0x200, VA, 0));
	}
}

/* Each crossing is noted with whom it left and what it met; a refused fault is none. */
static void test_noted(void **state)
{
	struct asi_crossing row;
	uint64_t count = 0;
	char what[32];

	(void)state;
	set_mapping(hostmap_ptable(), PROT_RW);
	for (unsigned int i = 0; i < 30; i++) {
		enter();
		assert_true(fault(RIP + 0x1000, VA + i, 0));
		enter();
		assert_false(fault(RIP + 0x2000, VA, PF_RSVD));
	}
	snprintf(what, sizeof(what), "0x%lx", VA);
	for (unsigned int i = 0; asi_crossing_get(i, &row); i++) {
		assert_int_not_equal(row.rip, RIP + 0x2000);
		if (row.rip != RIP + 0x1000)
			continue;
		count += row.count;
		assert_int_equal(row.cause, ASI_BY_FAULT);
		assert_int_equal(row.domain, domain->id);
		assert_int_equal(row.address, VA);
		assert_string_equal(row.what, what);
	}
	assert_int_equal(count, 30);
}

/* In a strict domain a miss ends the guest: in a handler of its own, and by no stale translation. */
static void test_strict(void **state)
{
	static const struct {
		unsigned int depth, restricted;
		bool strict, tense;
		unsigned int stops;
	} cases[] = {
		{ 1, ABSENT, true, false, 1 },	/* what it is for */
		{ 1, ABSENT, false, false, 0 }, /* not asked for */
		{ 2, ABSENT, true, false, 0 },	/* an interrupt's handler on top */
		{ 1, ABSENT, true, true, 0 },	/* a critical section: the watchdog's */
		{ 1, PROT_RW, true, false, 0 }, /* stale: nothing sensitive was met */
	};

	(void)state;
	set_mapping(hostmap_ptable(), PROT_RW);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		set_mapping(&domain->pt, cases[i].restricted);
		domain->strict = cases[i].strict;
		asi_enter(domain);
		if (!cases[i].tense)
			asi_relax();
		trap_depth = cases[i].depth;
		nr_strict = 0;
		assert_true(fault(RIP + 0x4000 + i, VA, 0));
		assert_int_equal(nr_strict, cases[i].stops);
		trap_depth = 0;
		asi_relax();
	}
	domain->strict = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_predicate, leave),
		cmocka_unit_test_teardown(test_not_in_domain, leave),
		cmocka_unit_test_teardown(test_watchdog, leave),
		cmocka_unit_test_teardown(test_watchdog_lets_pass, leave),
		cmocka_unit_test_teardown(test_noted, leave),
		cmocka_unit_test_teardown(test_strict, leave),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
