/* SPDX-License-Identifier: MIT */
/*
 * vmm/runqueue.c: any order of calls beside a model, which has a row for each vCPU and counts everything anew each time;
 * and long runs, after which all have had as much.
 */
#include "unittests/runqueue.h"
#include "unittests/seed.h"

#define CPUS 6

/* ---- the model ---- */

static struct row {
	bool exists;
	enum sched_state state;
	uint32_t core, loaded, cpu;
	uint64_t v, wake, came; /* came: in which order the queue got them */
} rows[MEMBERS];
static struct {
	uint64_t min, end;
} cores_of[CPUS];
static uint64_t arrivals;
static unsigned int nr_cpus;
static uint64_t idle_cpus;

static uint32_t core_number(uint32_t cpu)
{
	return cpu / threads * threads;
}

static unsigned int count(uint32_t core, bool running_only)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < MEMBERS; i++)
		n += rows[i].exists && rows[i].core == core &&
		     (rows[i].state == SCHED_RUNNING ||
		      (!running_only && rows[i].state == SCHED_WAITING));
	return n;
}

/* Whose VM the core runs; NULL: it rests. */
static const void *vm_of(uint32_t core)
{
	for (unsigned int i = 0; i < MEMBERS; i++)
		if (rows[i].exists && rows[i].core == core && rows[i].state == SCHED_RUNNING)
			return es[i].vm;
	return NULL;
}

static bool waits_here(unsigned int i, uint32_t core)
{
	return rows[i].exists && rows[i].core == core && rows[i].state == SCHED_WAITING;
}

static bool is_before(unsigned int a, int b)
{
	return b < 0 || rows[a].v < rows[b].v ||
	       (rows[a].v == rows[b].v && rows[a].came < rows[b].came);
}

static int model_free(uint32_t core)
{
	int best = -1;

	for (unsigned int i = 0; i < MEMBERS; i++)
		if (waits_here(i, core) && rows[i].loaded == RQ_NO_CPU && is_before(i, best))
			best = (int)i;
	return best;
}

static void model_move(int i, uint32_t core)
{
	struct row *r = &rows[i];
	uint64_t min = cores_of[r->core].min;

	r->v = (r->v > min ? r->v - min : 0) + cores_of[core].min;
	r->core = core;
	r->came = arrivals++;
}

static void model_wake(uint32_t core, uint64_t now)
{
	uint64_t min = cores_of[core].min, least = min > SLICE ? min - SLICE : 0;

	for (unsigned int i = 0; i < MEMBERS; i++) {
		struct row *r = &rows[i];

		if (!r->exists || r->core != core || r->state != SCHED_SLEEPING ||
		    (now < r->wake && !has_mail[i]))
			continue;
		r->state = SCHED_WAITING;
		r->v = r->v > least ? r->v : least;
	}
}

static bool another_waits(uint32_t core)
{
	for (unsigned int i = 0; i < MEMBERS; i++)
		if (waits_here(i, core) && es[i].vm != vm_of(core))
			return true;
	return false;
}

static int model_least(uint32_t cpu, uint64_t now)
{
	uint32_t core = core_number(cpu);
	const void *vm = vm_of(core);
	int best = -1;

	if (vm && now >= cores_of[core].end && another_waits(core))
		return -1;
	for (unsigned int i = 0; i < MEMBERS; i++)
		if (waits_here(i, core) && (!vm || es[i].vm == vm) &&
		    (rows[i].loaded == RQ_NO_CPU || rows[i].loaded == cpu) && is_before(i, best))
			best = (int)i;
	return best;
}

static int model_own(uint32_t cpu, uint64_t now)
{
	uint32_t core = core_number(cpu);
	int i;

	model_wake(core, now);
	i = model_least(cpu, now);
	if (i < 0)
		return i;
	if (!vm_of(core) || now >= cores_of[core].end)
		cores_of[core].end = now + SLICE;
	cores_of[core].min = MAX(cores_of[core].min, rows[i].v);
	rows[i].state = SCHED_RUNNING;
	rows[i].cpu = cpu;
	return i;
}

/* A core that runs something, has one that is free to go, and is not @core; -1: none. */
static int model_giver(uint32_t core)
{
	for (uint32_t c = 0; c < nr_cpus; c += threads)
		if (c != core && count(c, true) && model_free(c) >= 0)
			return (int)c;
	return -1;
}

static int model_pick(uint32_t cpu, uint64_t now)
{
	uint32_t core = core_number(cpu), most = 0;
	int i, giver;

	for (uint32_t c = 0; c < nr_cpus; c += threads)
		if (count(c, false) > count(most, false))
			most = c;
	if (count(most, false) >= count(core, false) + 2 && model_free(most) >= 0)
		model_move(model_free(most), core);
	i = model_own(cpu, now);
	if (i >= 0 || count(core, true))
		return i;
	giver = model_giver(core);
	if (giver < 0)
		return -1;
	model_move(model_free((uint32_t)giver), core);
	return model_own(cpu, now);
}

static bool model_has_work(uint32_t cpu, uint64_t now)
{
	uint32_t core = core_number(cpu);

	model_wake(core, now);
	if (model_least(cpu, now) >= 0 || count(core, true))
		return model_least(cpu, now) >= 0;
	return model_giver(core) >= 0;
}

static uint64_t model_next_wake(uint32_t cpu)
{
	uint32_t core = core_number(cpu);
	uint64_t first = RQ_NEVER;

	for (unsigned int i = 0; i < MEMBERS; i++)
		if (rows[i].exists && rows[i].core == core && rows[i].state == SCHED_SLEEPING)
			first = MIN(first, rows[i].wake);
	return count(core, true) && another_waits(core) ? MIN(first, cores_of[core].end) : first;
}

/* Each idle CPU is tried: would it find one that waits at @cpu's core? */
static bool model_could_take(uint32_t taker, uint32_t cpu)
{
	uint32_t core = core_number(cpu);

	for (unsigned int i = 0; i < MEMBERS; i++)
		if (waits_here(i, core) &&
		    (rows[i].loaded == RQ_NO_CPU || rows[i].loaded == taker) &&
		    (core_number(taker) != core || es[i].vm == vm_of(core)))
			return true;
	return false;
}

static uint32_t model_idle_cpu(uint32_t cpu)
{
	uint32_t found = RQ_NO_CPU;

	for (uint32_t c = nr_cpus; c--;)
		if (c != cpu && (idle_cpus & BIT(c)) && model_could_take(c, cpu) &&
		    (found == RQ_NO_CPU || core_number(found) != core_number(cpu) ||
		     core_number(c) == core_number(cpu)))
			found = c;
	return found;
}

/* ---- the walk ---- */

static void compare(void)
{
	const void *vm[CPUS] = { NULL };

	for (unsigned int i = 0; i < MEMBERS; i++) {
		const struct row *r = &rows[i];

		if (!r->exists)
			continue;
		assert_int_equal(es[i].state, r->state);
		assert_int_equal(es[i].core, r->core);
		assert_int_equal(es[i].vruntime, r->v);
		if (r->state != SCHED_RUNNING)
			continue;
		/* Whatever the model says: one VM at a time on a core. */
		assert_int_equal(core_number(r->cpu), r->core);
		assert_true(!vm[r->core] || vm[r->core] == es[i].vm);
		vm[r->core] = es[i].vm;
	}
	assert_int_equal(fake_locks_held(), 0);
}

static int running_at(uint32_t cpu)
{
	for (unsigned int i = 0; i < MEMBERS; i++)
		if (rows[i].exists && rows[i].state == SCHED_RUNNING && rows[i].cpu == cpu)
			return (int)i;
	return -1;
}

static void walk_add(unsigned int i, uint64_t now)
{
	uint32_t best = 0, nr[CPUS] = { 0 };

	for (unsigned int k = 0; k < MEMBERS; k++)
		nr[rows[k].core] += rows[k].exists;
	for (uint32_t c = 0; c < nr_cpus; c += threads)
		best = nr[c] < nr[best] ? c : best;
	assert_int_equal(rq_choose(), best);
	best = core_number((uint32_t)seed_below(nr_cpus));
	es[i] = (struct sched_entity){ .vm = VM('a' + seed_below(4)),
				       .wake = seed_below(3) ? now + seed_below(900) : RQ_NEVER };
	rows[i] = (struct row){ .exists = true,
				.core = best,
				.loaded = RQ_NO_CPU,
				.v = cores_of[best].min,
				.wake = es[i].wake,
				.came = arrivals++ };
	has_mail[i] = false;
	nr_crowded = 0;
	rq_add(&es[i], best);
	assert_int_equal(nr_crowded, nr[best] == 1);
}

static void walk_pick(uint32_t cpu, uint64_t now)
{
	bool work = rq_has_work(cpu, now);
	uint64_t end;
	int got;

	assert_int_equal(work, model_has_work(cpu, now));
	assert_int_equal(rq_next_wake(cpu), model_next_wake(cpu));
	got = pick(cpu, now, &end);
	assert_int_equal(got, model_pick(cpu, now));
	/*
	 * Who is told that there is work finds it, or is not told again: it would turn in circles. (Another VM's
	 * vCPU may have come over, so that this core's time is over.)
	 */
	assert_true(got >= 0 || !work || !rq_has_work(cpu, now));
	if (got < 0)
		return;
	assert_int_equal(end, cores_of[core_number(cpu)].end);
	assert_in_range(end, now + 1, now + SLICE);
	assert_int_equal(rq_idle_cpu(cpu), model_idle_cpu(cpu));
}

static void walk_put(unsigned int i, uint64_t now)
{
	struct row *r = &rows[i];
	uint64_t ticks = seed_below(SLICE + 50);

	if (seed_below(25) == 0) {
		rq_remove(&es[i]);
		r->exists = false;
		return;
	}
	r->v += ticks;
	r->state = seed_below(3) ? SCHED_WAITING : SCHED_SLEEPING;
	r->wake = seed_below(4) ? now + seed_below(4 * SLICE) : RQ_NEVER;
	r->loaded = r->state == SCHED_WAITING && seed_below(6) == 0 ? r->cpu : RQ_NO_CPU;
	rq_put(&es[i], r->cpu, ticks, r->state, r->wake, r->loaded);
}

/* At the end all that have ever a reason to run do so, though all CPUs together have no other work. */
static void drain(uint64_t now)
{
	for (unsigned int i = 0; i < MEMBERS; i++)
		if (rows[i].exists && rows[i].state == SCHED_RUNNING) {
			rq_put(&es[i], rows[i].cpu, 0, SCHED_WAITING, 0, RQ_NO_CPU);
			rows[i].state = SCHED_WAITING;
		}
	memset(has_mail, true, sizeof(has_mail));
	for (unsigned int turn = 0; turn < MEMBERS; turn++)
		for (uint32_t cpu = 0; cpu < nr_cpus; cpu++) {
			int i = pick(cpu, now, NULL);

			if (i < 0)
				continue;
			assert_true(rows[i].exists);
			rows[i].exists = false;
			rq_remove(&es[i]);
		}
	for (unsigned int i = 0; i < MEMBERS; i++)
		assert_false(rows[i].exists);
}

static void walk(unsigned int cpus, unsigned int per_core)
{
	uint64_t now = 1;

	nr_cpus = cpus;
	machine(cpus, per_core);
	memset(rows, 0, sizeof(rows));
	memset(cores_of, 0, sizeof(cores_of));
	arrivals = idle_cpus = 0;
	for (unsigned int step = 0; step < 60000; step++) {
		unsigned int i = (unsigned int)seed_below(MEMBERS);
		uint32_t cpu = (uint32_t)seed_below(cpus);

		now += seed_below(4) ? 0 : seed_below(300);
		switch (seed_below(10)) {
		case 0:
			if (!rows[i].exists)
				walk_add(i, now);
			break;
		case 1:
			has_mail[i] = rows[i].exists && seed_below(2);
			break;
		case 2:
			idle_cpus ^= BIT(cpu);
			rq_set_idle(cpu, idle_cpus & BIT(cpu));
			break;
		default:
			if (running_at(cpu) < 0)
				walk_pick(cpu, now);
			else if (seed_below(2))
				walk_put((unsigned int)running_at(cpu), now);
		}
		compare();
	}
	drain(now);
}

static void test_walk(void **state)
{
	(void)state;
	for (unsigned int per_core = 1; per_core <= 3; per_core++)
		for (unsigned int cpus = per_core; cpus <= CPUS; cpus += per_core)
			walk(cpus, per_core);
}

/* ---- fairness ---- */

/* What each has run after @until ticks; a letter of @vms for each. Turns end early at random if they are @short_ones. */
static void run_long(const char *vms, unsigned int cpus, unsigned int per_core, bool short_ones,
		     uint64_t until, uint64_t *ran)
{
	uint64_t next[CPUS] = { 0 }, begin[CPUS] = { 0 };
	int who[CPUS];

	machine(cpus, per_core);
	for (unsigned int i = 0; vms[i]; i++) {
		add(i, VM(vms[i]), rq_choose());
		ran[i] = 0;
	}
	for (uint32_t cpu = 0; cpu < cpus; cpu++)
		who[cpu] = -1;
	for (;;) {
		uint32_t cpu = 0;
		uint64_t now, end;

		for (uint32_t c = 1; c < cpus; c++)
			cpu = next[c] < next[cpu] ? c : cpu;
		now = next[cpu];
		if (now > until)
			return;
		if (who[cpu] >= 0) {
			put((unsigned int)who[cpu], cpu, now - begin[cpu]);
			ran[who[cpu]] += now - begin[cpu];
		}
		who[cpu] = pick(cpu, now, &end);
		begin[cpu] = now;
		if (who[cpu] < 0)
			next[cpu] = now + 10;
		else
			next[cpu] = short_ones ? now + 1 + seed_below(end - now) : end;
	}
}

/* All have the same weight, and each queue has as much to do: within 5 % of each other. */
static void test_fair(void **state)
{
	static const struct {
		const char *vms;
		unsigned int cpus, per_core;
	} cases[] = {
		{ "ab", 1, 1 },	    { "abcde", 1, 1 },	{ "aab", 1, 1 },      { "ab", 2, 2 },
		{ "aab", 2, 2 },    { "aaab", 2, 2 },	{ "aaabbc", 2, 2 },   { "abcdef", 3, 3 },
		{ "abcd", 2, 1 },   { "aabbcc", 3, 1 }, { "aabbccdd", 4, 2 }, { "aabb", 4, 2 },
		{ "abcdef", 3, 1 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		unsigned int n = (unsigned int)strlen(cases[i / 2].vms);
		uint64_t ran[MEMBERS], least = ~0UL, most = 0;

		run_long(cases[i / 2].vms, cases[i / 2].cpus, cases[i / 2].per_core, i % 2,
			 2000 * SLICE, ran);
		for (unsigned int k = 0; k < n; k++) {
			least = MIN(least, ran[k]);
			most = MAX(most, ran[k]);
		}
		assert_true(least > 0 && (most - least) * 20 <= most);
	}
}

static int setup(void **state)
{
	(void)state;
	seed_start(20);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_fair),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
