/* SPDX-License-Identifier: MIT */
/*
 * asi/shootdown.c: whom a flusher interrupts, what it waits for and no longer than that, and what a CPU does that is
 * asked. Other CPUs are scripts: each PAUSE of the waiting loop is their next step.
 */
#include "unittests/asi_switch.h"
#include "unittests/fake/remote.h"
#include "mm/quarantine.h"

#define OLD  1 /* a generation before the one that is waited for */
#define NEW  2 /* that one, or a later one */
#define NONE 0 /* in transit */

/* What CPU 1 says of itself. */
#define U (-1)
struct step {
	int curr; /* domain, or U */
	int gen;  /* OLD, NEW, NONE */
	bool host_on, host_new, all_new;
	bool parked;
};

enum kind { LOCAL_OF_A, OWNER_A, GLOBAL_ALL, HOST, EVERYTHING };

#define IN(domain, gen)                                 \
	{                                               \
		domain, gen, false, false, false, false \
	}
#define SAYS(curr, on, seen)                      \
	{                                         \
		curr, OLD, on, seen, false, false \
	} /* of the unrestricted space */
#define FLUSHED(curr, all)                          \
	{                                           \
		curr, NEW, false, false, all, false \
	}
#define PARKED                                    \
	{                                         \
		U, OLD, false, false, false, true \
	}

/* With the last step the waiting ends. */
static const struct script {
	const char *name;
	enum kind kind;
	unsigned int kicks, nr;
	struct step step[4];
} scripts[] = {
	{ "outside", LOCAL_OF_A, 0, 1, { IN(U, OLD) } },
	{ "elsewhere", LOCAL_OF_A, 0, 1, { IN(1, OLD) } },
	{ "up to date already", LOCAL_OF_A, 0, 1, { IN(0, NEW) } },
	{ "catches up", LOCAL_OF_A, 1, 3, { IN(0, OLD), IN(0, OLD), IN(0, NEW) } },
	{ "leaves", LOCAL_OF_A, 1, 2, { IN(0, OLD), IN(U, OLD) } },
	{ "goes to B", LOCAL_OF_A, 1, 4, { IN(0, OLD), IN(0, NONE), IN(1, NONE), IN(1, OLD) } },
	{ "is on its way to B", LOCAL_OF_A, 0, 2, { IN(1, NONE), IN(1, OLD) } },
	{ "is on its way in", LOCAL_OF_A, 1, 3, { IN(0, NONE), IN(0, OLD), IN(0, NEW) } },
	{ "parks", LOCAL_OF_A, 1, 2, { IN(0, OLD), PARKED } },
	{ "owner: catches up", OWNER_A, 1, 2, { IN(0, OLD), IN(0, NEW) } },
	{ "owner: elsewhere", OWNER_A, 0, 1, { IN(1, OLD) } },
	{ "all: outside", GLOBAL_ALL, 0, 1, { IN(U, OLD) } },
	{ "all: catches up", GLOBAL_ALL, 1, 3, { IN(1, OLD), IN(0, OLD), IN(0, NEW) } },
	{ "all: leaves", GLOBAL_ALL, 1, 3, { IN(1, NONE), IN(1, OLD), IN(U, OLD) } },
	{ "host: in a domain", HOST, 0, 1, { SAYS(1, false, false) } },
	{ "host: flushes", HOST, 1, 2, { SAYS(U, true, false), SAYS(U, true, true) } },
	{ "host: enters",
	  HOST,
	  1,
	  3,
	  { SAYS(U, true, false), SAYS(1, true, false), SAYS(1, false, false) } },
	{ "host: leaves", HOST, 1, 2, { SAYS(1, true, false), SAYS(1, true, true) } },
	{ "everything: flushes", EVERYTHING, 1, 2, { FLUSHED(1, false), FLUSHED(1, true) } },
	{ "everything: parks", EVERYTHING, 1, 2, { FLUSHED(U, false), PARKED } },
};

static const struct script *script;
static unsigned int at, kicked;
static uint64_t old_gen, host_before, all_before;

static void play(const struct step *s)
{
	*percpu_of(1, asi_curr) = s->curr == U ? NULL : domains[s->curr];
	*percpu_of(1, asi_cr3_gen) = s->gen == OLD ? old_gen : s->gen == NEW ? asi_last_gen + 1 : 0;
	*percpu_of(1, asi_host_on) = s->host_on;
	*percpu_of(1, asi_host_seen) = host_before + s->host_new;
	*percpu_of(1, asi_all_seen) = all_before + s->all_new;
	fake_active = s->parked ? 1 : 3;
}

static void next_step(void)
{
	at++;
	assert_true(at < script->nr); /* waited on where nobody had to be waited for */
	play(&script->step[at]);
}

static void count_kick(uint32_t cpu)
{
	assert_int_equal(cpu, 1);
	kicked++;
}

static void run_flush(enum kind kind)
{
	switch (kind) {
	case LOCAL_OF_A:
		asi_flush_local(domains[0], 0, ~0UL);
		break;
	case OWNER_A:
		asi_flush_owner(&fake_owners[0], 0, ~0UL);
		break;
	case GLOBAL_ALL:
		asi_flush_global(0, ~0UL);
		break;
	case HOST:
		unmap_flush(SENSITIVE, NULL, 0);
		break;
	case EVERYTHING:
		tlb_flush_generation();
		break;
	}
}

static int start(void **state)
{
	fresh(state);
	remote_reset();
	fake_active = 3;
	fake_kick = count_kick;
	fake_pause = NULL;
	kicked = 0;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_active = 1;
	fake_kick = NULL;
	fake_pause = NULL;
	return 0;
}

/* Each script is waited for exactly to its end, and interrupts exactly whom it must. */
static void test_waits(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(scripts); i++) {
		start(state);
		script = &scripts[i];
		at = 0;
		old_gen = asi_last_gen;
		host_before = asi_host_gen;
		all_before = asi_flush_begun;
		play(&script->step[0]);
		fake_pause = next_step;
		run_flush(script->kind);
		if (at != script->nr - 1 || kicked != script->kicks)
			fail_msg("%s: %u steps, %u kicks", script->name, at + 1, kicked);
		assert_int_equal(asi_cpu_stats()->kicks, script->kicks);
		assert_int_equal(asi_cpu_stats()->kicks_avoided, script->nr == 1);
	}
}

/* What is unmapped outside reaches those domains that share its tables, by its class, and is accounted for. */
static void test_unmap_flush(void **state)
{
	static const struct {
		enum mem_class class;
		int owner;
	} cases[] = { { SENSITIVE, -1 }, { LOCAL, 1 }, { GLOBAL, -1 } };
	struct ptable *host = hostmap_ptable();

	(void)state;
	fake_active = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t before[DOMAINS], flushed = host->nr_flushed;

		for (unsigned int d = 0; d < DOMAINS; d++)
			before[d] = domains[d]->tlb_gen;
		fake_mmu_log[0] = '\0';
		unmap_flush(cases[i].class,
			    cases[i].owner < 0 ? NULL : &fake_owners[cases[i].owner], 5);
		assert_non_null(strstr(fake_mmu_log, "I0 "));
		assert_int_equal(host->nr_flushed, flushed + 5);
		for (unsigned int d = 0; d < DOMAINS; d++) {
			bool moved = cases[i].class == GLOBAL ||
				     (cases[i].class == LOCAL && cases[i].owner == (int)d);

			assert_int_equal(domains[d]->tlb_gen != before[d], moved);
		}
	}
}

/* A CPU that is asked does what it is asked for, once; in a domain, what concerns the unrestricted space can wait. */
static void test_serve(void **state)
{
	struct asi *a = domains[0];

	(void)state;
	cpu_serve();
	check_log("");
	asi_host_gen++;
	cpu_serve();
	check_log("I0 ");
	asi_flush_begun++;
	cpu_serve();
	check_log("A ");
	assert_int_equal(asi_all_seen, asi_flush_begun);
	asi_enter(a);
	asi_relax();
	check_log("F W1 ");
	asi_host_gen++;
	cpu_serve();
	check_log("");
	next_generation(a, 0, ~0UL);
	cpu_serve();
	check_log("I1 ");
	next_generation(a, LOCALMAP_BASE, PAGEBLOCK_SIZE);
	cpu_serve();
	check_log("P1 ");
	assert_int_equal(asi_cr3_gen, a->tlb_gen);
	next_generation(domains[1], 0, ~0UL); /* not ours */
	cpu_serve();
	check_log("");
	asi_exit();
	check_log("F W0 "); /* with what was put off */
	assert_int_equal(asi_host_seen, asi_host_gen);
	assert_int_equal(asi_cpu_stats()->tlb_deferred, 1);
	cpu_serve();
	check_log("");
	asi_enter(a);
	asi_relax();
	asi_exit();
	check_log("F N1 F N0 ");
	assert_int_equal(asi_cpu_stats()->tlb_deferred, 1);
}

/* In an NMI that interrupts an enter, the domain's part is left to the enter, which has not said which generation it saw. */
static void test_serve_in_transit(void **state)
{
	struct asi *a = domains[0];

	(void)state;
	asi_enter(a);
	asi_relax();
	next_generation(a, 0, ~0UL);
	asi_cr3_gen = NONE;
	fake_mmu_log[0] = '\0';
	cpu_serve();
	check_log("");
	assert_int_equal(asi_cr3_gen, NONE);
}

static struct flush wanted;
static unsigned int points, when;

static void another_unmaps(void)
{
	if (wanted.kind == OF_DOMAIN) {
		fake_mmu_unmapped(domains[0]->pt.root);
		wanted.gen = next_generation(domains[0], 0, ~0UL);
	} else {
		fake_mmu_unmapped(HPA(hostmap_cr3()));
		wanted.gen = ++asi_host_gen;
	}
}

/* Another CPU unmaps at one point. From then on, whenever it would call this CPU past that, no stale translation is usable. */
static void unmap_and_watch(void)
{
	if (points++ == when)
		another_unmaps();
	if (points > when && is_past(0, &wanted))
		assert_true(fake_mmu_is_fresh());
}

static void in_and_out(void)
{
	asi_enter(domains[0]);
	asi_check_entry(domains[0], asi_host_cr3());
	asi_relax();
	another_unmaps(); /* so that there is something to serve when the one that is watched comes */
	cpu_serve();
	asi_enter(domains[1]);
	asi_relax();
	asi_enter(domains[0]);
	asi_relax();
	asi_exit();
	cpu_serve();
	asi_enter(domains[0]);
	asi_relax();
	asi_exit();
	cpu_serve();
}

/* What a flusher is told is true at every instruction, wherever its unmapping comes in between. */
static void watch(enum flush_kind kind, bool pcid)
{
	for (when = 0, points = 1; when < points; when++) {
		switch_reset(pcid, 0);
		asi_enter(domains[1]);
		asi_relax();
		asi_enter(domains[0]);
		asi_relax();
		asi_exit();
		wanted = (struct flush){ .kind = kind, .asi = domains[0] };
		points = 0;
		fake_mmu_point = unmap_and_watch;
		in_and_out();
		fake_mmu_point = NULL;
		cpu_serve(); /* of the kick, if all was over by then */
		assert_true(is_past(0, &wanted));
	}
	assert_true(when > 100);
}

static void test_told_the_truth(void **state)
{
	(void)state;
	for (unsigned int pcid = 0; pcid < 2; pcid++) {
		watch(OF_DOMAIN, pcid);
		watch(OF_HOST, pcid);
	}
}

static unsigned int turns;

/* Asks this CPU in its first turn; in the second it has answered, and is answered. */
static void ask_while_waiting(void)
{
	if (turns++ == 0) {
		assert_int_equal(asi_host_seen, asi_host_gen++);
		assert_int_equal(asi_all_seen, asi_flush_begun++);
		return;
	}
	assert_int_equal(asi_host_seen, asi_host_gen);
	assert_int_equal(asi_all_seen, asi_flush_begun);
	*percpu_of(1, asi_cr3_gen) = asi_last_gen;
	fake_pause = NULL;
}

/* Who waits answers: another CPU may wait for this one. */
static void test_serves_while_waiting(void **state)
{
	(void)state;
	*percpu_of(1, asi_curr) = domains[0];
	*percpu_of(1, asi_cr3_gen) = domains[0]->tlb_gen;
	turns = 0;
	fake_pause = ask_while_waiting;
	fake_mmu_log[0] = '\0';
	asi_flush_local(domains[0], 0, ~0UL);
	assert_int_equal(turns, 2);
	assert_non_null(strstr(fake_mmu_log, "A "));
	assert_non_null(strstr(fake_mmu_log, "I0 "));
}

/* Nobody waits with a lock held, and a handler does not wait for what it may have interrupted. */
static void test_can_wait(void **state)
{
	struct spinlock lock = SPINLOCK(LOCK_VM);
	uint64_t flags;

	(void)state;
	assert_true(tlb_can_wait());
	trap_depth = 1;
	assert_false(tlb_can_wait());
	trap_depth = 0;
	flags = spin_lock(&lock);
	assert_false(tlb_can_wait());
	expect_assert_failure(asi_flush_local(domains[0], 0, ~0UL)); /* gives the lock back */
	fake_irqs_on = flags & RFLAGS_IF;
	assert_true(tlb_can_wait());
}

static void leave_it(void)
{
	static unsigned int turn;

	switch (turn++) {
	case 0:
		*percpu_of(1, asi_cr3_gen) = NONE;
		break;
	case 1:
		*percpu_of(1, asi_curr) = domains[1];
		break;
	case 2:
		*percpu_of(1, asi_cr3_gen) = domains[1]->tlb_gen;
		fake_pause = NULL;
		break;
	default:
		fail();
	}
}

/* A domain's end waits until no other CPU has it in CR3, and no flusher finds it any more. */
static void test_end_waits(void **state)
{
	struct asi *a = domains[DOMAINS - 1];

	(void)state;
	*percpu_of(1, asi_curr) = a;
	*percpu_of(1, asi_cr3_gen) = a->tlb_gen;
	fake_pause = leave_it;
	switch_destroy(a);
	assert_null(fake_pause);
	assert_null(asi_domains[fake_owners[DOMAINS - 1].id]);
	domains[DOMAINS - 1] = switch_create(DOMAINS - 1);
}

/* Generations never fall: a domain that is made has a later one than any flush before, which does not wait for it. */
static void test_born_late(void **state)
{
	uint64_t before;

	(void)state;
	fake_active = 1;
	asi_flush_global(0, ~0UL);
	before = asi_last_gen;
	for (unsigned int i = 0; i < DOMAINS; i++)
		assert_in_range(domains[i]->tlb_gen, before - DOMAINS + 1, before);
	switch_destroy(domains[0]);
	domains[0] = switch_create(0);
	assert_true(domains[0]->tlb_gen > before);
	assert_true(domains[0]->serial == domains[0]->tlb_gen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits, start, stop),
		cmocka_unit_test_setup_teardown(test_unmap_flush, start, stop),
		cmocka_unit_test_setup_teardown(test_serve, start, stop),
		cmocka_unit_test_setup_teardown(test_serve_in_transit, start, stop),
		cmocka_unit_test_setup_teardown(test_told_the_truth, start, stop),
		cmocka_unit_test_setup_teardown(test_serves_while_waiting, start, stop),
		cmocka_unit_test_setup_teardown(test_can_wait, start, stop),
		cmocka_unit_test_setup_teardown(test_end_waits, start, stop),
		cmocka_unit_test_setup_teardown(test_born_late, start, stop),
	};

	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
