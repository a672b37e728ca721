/* SPDX-License-Identifier: MIT */
/*
 * asi/switch.c under NMIs. Each operation runs once for each pair of points in it: at each of the
 * two an NMI comes that does nothing, touches sensitive memory, or leaves by call. The second may hit
 * the handler of the first (its page fault's IRET lets NMIs in again; a machine check needs no leave).
 */
#include "unittests/asi_switch.h"

enum act { ACT_NOTHING, ACT_FAULT, ACT_CALL, ACT_NR };

static struct {
	unsigned int at[2]; /* points, counted from 0, where an NMI comes */
	enum act act[2];
	unsigned int now, taken;
} nmis;

/* As the stub in arch/x86/entry.S does, with trap_dispatch() in between. */
static void nmi(enum act act)
{
	switch_point();
	trap_depth++;
	switch_point();
	if (act == ACT_FAULT) {
		trap_depth++;
		switch_exit(ASI_BY_FAULT);
		switch_point();
		/* Nothing but the outermost return may go back: the touched memory stays there. */
		assert_null(asi_curr);
		trap_depth--;
	} else if (act == ACT_CALL) {
		asi_exit();
		switch_point();
		assert_null(asi_curr);
	}
	trap_depth--;
	switch_point();
	if (trap_depth == 0) {
		asi_intr_exit();
		if (act != ACT_NOTHING && asi_target) {
			assert_int_equal(loaded_root(), asi_target->pt.root.v);
			assert_true(fake_mmu_is_fresh());
		}
	}
	switch_point();
}

static void point(void)
{
	unsigned int now = nmis.now++;

	/* At any instruction at all, and so for any CPU that looks. */
	if (loaded_root() != hostmap_cr3())
		assert_non_null(asi_curr);
	else
		assert_true(asi_host_on);
	if (asi_curr && asi_cr3_gen && loaded_root() != hostmap_cr3())
		assert_int_equal(loaded_root(), asi_curr->pt.root.v);
	for (unsigned int i = 0; i < ARRAY_SIZE(nmis.at); i++) {
		if (now == nmis.at[i]) {
			nmis.taken++;
			nmi(nmis.act[i]);
		}
	}
}

/* What is tried, and in which state: @prepare runs without NMIs, then @run, then @check. */
struct operation {
	void (*prepare)(void);
	void (*run)(void);
	void (*check)(void);
};

/* False if @second lies behind the end of the operation. */
static bool run_pair(const struct operation *op, unsigned int first, unsigned int second,
		     unsigned int acts)
{
	op->prepare();
	nmis.at[0] = first;
	nmis.at[1] = second;
	nmis.act[0] = acts % ACT_NR;
	nmis.act[1] = acts / ACT_NR;
	nmis.now = nmis.taken = 0;
	fake_mmu_point = point;
	op->run();
	fake_mmu_point = NULL;
	op->check();
	return nmis.taken == 2;
}

static void run_operation(const struct operation *op, bool pcid, uint32_t victim)
{
	unsigned int runs = 0;

	switch_reset(pcid, victim);
	for (unsigned int acts = 0; acts < ACT_NR * ACT_NR; acts++) {
		for (unsigned int first = 0;; first++) {
			unsigned int second = first + 1;

			for (;; second++, runs++) {
				switch_reset(pcid, victim);
				if (!run_pair(op, first, second, acts))
					break;
			}
			if (second == first + 1)
				break;
		}
	}
	assert_true(runs > 9);
}

/* With and without PCIDs, and for each slot that could be the next to be taken. */
static void run_everywhere(const struct operation *op)
{
	run_operation(op, false, 0);
	for (uint32_t victim = 0; victim < SLOTS; victim++)
		run_operation(op, true, victim);
}

static struct asi *a, *b;

static void enter_a(void)
{
	asi_enter(a);
}

static void check_in_a(void)
{
	check_in(a);
}

static void prepare_out(void)
{
	a = domains[0];
	b = domains[1];
}

static void prepare_again(void)
{
	prepare_out();
	asi_enter(a);
	asi_relax();
	asi_exit();
}

static void prepare_relaxed(void)
{
	prepare_out();
	asi_enter(a);
	asi_relax();
}

static void prepare_tense(void)
{
	prepare_out();
	asi_enter(a);
}

static void prepare_in_b(void)
{
	prepare_again();
	asi_enter(b);
	asi_relax();
}

static void prepare_stale(void)
{
	prepare_again();
	fake_mmu_unmapped(a->pt.root);
	asi_flush_local(a, 0, ~0UL);
}

/* All slots are other domains', and up to date. */
static void prepare_evict(void)
{
	a = domains[SLOTS];
	for (unsigned int i = 0; i < SLOTS; i++)
		asi_enter(domains[i]);
	asi_relax();
	asi_exit();
}

/* After enter the CPU is in the domain, wherever it came from and whatever came in between. */
static void test_enter(void **state)
{
	static void (*const from[])(void) = { prepare_out,   prepare_again, prepare_relaxed,
					      prepare_tense, prepare_in_b,  prepare_stale };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(from); i++)
		run_everywhere(&(struct operation){ from[i], enter_a, check_in_a });
}

/* The same where the domain has to take another's PCID. */
static void test_enter_evicts(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_evict, enter_a, check_in_a });
}

static void relax(void)
{
	asi_relax();
}

static void check_relaxed(void)
{
	assert_null(asi_target);
	if (asi_curr)
		assert_int_equal(loaded_root(), asi_curr->pt.root.v);
	else
		check_out();
	assert_true(fake_mmu_is_fresh());
}

/* After relax nothing leads back; restricted or not, the words agree with CR3. */
static void test_relax(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_tense, relax, check_relaxed });
	run_everywhere(&(struct operation){ prepare_relaxed, relax, check_relaxed });
}

static void leave(void)
{
	asi_exit();
}

static void check_left(void)
{
	check_out();
	assert_null(asi_target);
}

/* After exit the CPU is out, from wherever. */
static void test_exit(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_relaxed, leave, check_left });
	run_everywhere(&(struct operation){ prepare_in_b, leave, check_left });
	run_everywhere(&(struct operation){ prepare_out, leave, check_left });
}

static void prepare_handler(void)
{
	prepare_tense();
	trap_depth = 1;
}

static void check_left_in_handler(void)
{
	check_out();
	assert_ptr_equal(asi_target, a);
	trap_depth = 0;
	asi_intr_exit();
	check_in(a);
}

/* In a handler that interrupted a critical section, out means out until the handler returns. */
static void test_exit_in_handler(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_handler, leave, check_left_in_handler });
}

static void prepare_returning(void)
{
	prepare_handler();
	asi_exit();
	trap_depth = 0; /* decremented: what comes now may be outermost itself */
}

static void prepare_returning_stale(void)
{
	prepare_returning();
	fake_mmu_unmapped(a->pt.root);
	asi_flush_local(a, 0, ~0UL);
}

/* An outermost return comes back to the target. */
static void test_intr_exit(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_returning, asi_intr_exit, check_in_a });
	run_everywhere(&(struct operation){ prepare_returning_stale, asi_intr_exit, check_in_a });
	run_everywhere(&(struct operation){ prepare_tense, asi_intr_exit, check_in_a });
	run_everywhere(&(struct operation){ prepare_out, asi_intr_exit, check_left });
}

static void flush(void)
{
	fake_mmu_unmapped(a->pt.root);
	asi_flush_local(a, 0, ~0UL);
}

/* One that all who are one behind drop by its address. */
static void flush_short(void)
{
	fake_mmu_unmapped_at(a->pt.root, LOCALMAP_BASE);
	asi_flush_local(a, LOCALMAP_BASE, PAGEBLOCK_SIZE);
}

static void check_flushed(void)
{
	assert_true(fake_mmu_is_fresh());
	asi_enter(a);
	check_in(a);
}

/* After a flush no stale translation is in use, now or after the next enter. */
static void test_flush_local(void **state)
{
	static void (*const from[])(void) = { prepare_out, prepare_again, prepare_relaxed,
					      prepare_tense, prepare_in_b };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(from); i++) {
		run_everywhere(&(struct operation){ from[i], flush, check_flushed });
		run_everywhere(&(struct operation){ from[i], flush_short, check_flushed });
	}
}

/* Another CPU has unmapped, and waits for us. */
static void prepare_asked(void)
{
	prepare_relaxed();
	fake_mmu_unmapped(a->pt.root);
	next_generation(a, 0, ~0UL);
}

static void prepare_asked_short(void)
{
	prepare_tense();
	fake_mmu_unmapped_at(a->pt.root, LOCALMAP_BASE);
	next_generation(a, LOCALMAP_BASE, PAGEBLOCK_SIZE);
}

/* In the unrestricted space, where it may be that we are not. */
static void prepare_host_asked(void)
{
	prepare_again();
	fake_mmu_unmapped(HPA(hostmap_cr3()));
	asi_host_gen++;
}

static void prepare_host_deferred(void)
{
	prepare_relaxed();
	fake_mmu_unmapped(HPA(hostmap_cr3()));
	asi_host_gen++;
}

static void prepare_all_asked(void)
{
	prepare_host_deferred();
	fake_mmu_unmapped(a->pt.root);
	asi_flush_begun++;
}

/* Done, and nobody is told of more than was done: another unmapping would be seen. */
static void check_served(void)
{
	assert_true(!asi_curr || asi_cr3_gen <= a->tlb_gen);
	assert_true(asi_host_seen <= asi_host_gen && asi_all_seen <= asi_flush_begun);
	assert_true(fake_mmu_is_fresh());
	asi_relax();
	asi_exit();
	check_out();
	asi_enter(a);
	check_in(a);
}

/* What other CPUs ask for is done whatever comes in between, at once or with the next switch. */
static void test_serve(void **state)
{
	static void (*const from[])(void) = { prepare_asked, prepare_asked_short,
					      prepare_host_asked, prepare_host_deferred,
					      prepare_all_asked };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(from); i++)
		run_everywhere(&(struct operation){ from[i], cpu_serve, check_served });
	run_everywhere(&(struct operation){ prepare_host_deferred, leave, check_left });
	run_everywhere(&(struct operation){ prepare_host_deferred, enter_a, check_served });
}

static void check_entry(void)
{
	asi_check_entry(a, asi_host_cr3());
	assert_true(fake_mmu_is_fresh());
}

static void check_entered(void)
{
	check_in(a);
}

/* An unmapping that comes between enter and VM entry is caught up with. */
static void test_late(void **state)
{
	(void)state;
	run_everywhere(&(struct operation){ prepare_asked_short, check_entry, check_entered });
}

static void whole_exit(void)
{
	asi_enter(a);
	asi_check_entry(a, asi_host_cr3()); /* the VM runs */
	asi_relax();
	switch_exit(ASI_BY_FAULT);
	asi_enter(a);
	asi_check_entry(a, asi_host_cr3());
	asi_relax();
}

/* Two VM exits in a row, one of them served outside. */
static void test_whole_exit(void **state)
{
	(void)state;
	run_operation(&(struct operation){ prepare_in_b, whole_exit, check_relaxed }, true, 0);
	run_operation(&(struct operation){ prepare_in_b, whole_exit, check_relaxed }, false, 0);
	run_operation(&(struct operation){ prepare_evict, whole_exit, check_relaxed }, true, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_enter_evicts),
		cmocka_unit_test(test_relax),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_exit_in_handler),
		cmocka_unit_test(test_intr_exit),
		cmocka_unit_test(test_flush_local),
		cmocka_unit_test(test_serve),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_whole_exit),
	};

	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
