/* SPDX-License-Identifier: MIT */
/*
 * Random rounds: CPUs halt, spin with interrupts on or off, or take timer interrupts, while some of them send
 * IPIs of all kinds to each other; now and then one is started again.
 */
#include "guest-tests/smp/test.h"

enum { ROUNDS = 64, RESTART_EVERY = 8, SPAN = 3000 };

enum state { IDLE, SPIN, SPIN_OFF, SPIN_TIMER, NR_STATES };

static u64 random_state;
static enum state states[SMP_MAX];
static const struct message *volatile orders[SMP_MAX];
static volatile u32 in_state, let_go;

static u64 below(u64 n)
{
	return random_below(&random_state, n);
}

/* Spins in its state, and sends what it is told to. */
static void state_job(u64 state)
{
	unsigned int me = smp_id();

	if (state == SPIN_TIMER) {
		apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
		apic_write(LVT_TIMER, PERIODIC | VEC_TIMER);
		apic_write(TIMER_INITIAL, SPAN);
	}
	if (state == SPIN_OFF)
		irq_off();
	__atomic_add_fetch(&in_state, 1, __ATOMIC_SEQ_CST);
	while (!let_go) {
		if (orders[me]) {
			send_job((u64)orders[me]);
			orders[me] = NULL;
		}
		smp_relax();
	}
	irq_on();
	apic_write(TIMER_INITIAL, 0);
	apic_write(LVT_TIMER, MASKED);
}

static void enter_states(void)
{
	u32 busy = 0;

	in_state = let_go = 0;
	for (unsigned int i = 1; i < smp_nr(); i++) {
		states[i] = (enum state)below(NR_STATES);
		if (states[i] == IDLE)
			continue;
		smp_call(i, state_job, states[i]);
		busy++;
	}
	smp_await(&in_state, busy, smp_patience());
}

/* Any that can be expressed; NMIs only as the first, since two of them may be one. */
static void compose_any(struct message *m, unsigned int *sender, unsigned int i)
{
	enum address how;
	u32 what;

	do {
		what = below(4) == 0 ? ICR_LOWEST | TEST_VECTOR(i) : TEST_VECTOR(i);
		if (i == 0 && below(2) == 0)
			what = ICR_NMI;
		how = (enum address)below(NR_ADDRESSES);
		*sender = (unsigned int)below(smp_nr());
	} while (!compose(m, how, *sender, (unsigned int)below(smp_nr()),
			  random_from(&random_state), what));
}

static void order(unsigned int cpu, const struct message *m)
{
	u64 start = rdtsc();

	if (cpu == 0 || states[cpu] == IDLE) {
		smp_run(cpu, send_job, (u64)m);
		return;
	}
	orders[cpu] = m;
	while (orders[cpu] && rdtsc() - start < smp_patience())
		smp_relax();
}

static bool one_round(void)
{
	unsigned int nr = 1 + (unsigned int)below(NR_TEST), sender;
	struct message m[NR_TEST];
	bool right = true;

	enter_states();
	for (unsigned int i = 0; i < nr; i++) {
		compose_any(&m[i], &sender, i);
		order(sender, &m[i]);
		smp_delay(below(SPAN));
	}
	let_go = 1;
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_wait(i);
	for (unsigned int i = 0; i < nr; i++)
		right = delivered(&m[i], m[i].icr & ICR_NMI ? nmis : got[i]) && right;
	return right;
}

static void restart_one(void)
{
	unsigned int cpu;

	if (smp_nr() < 2)
		return;
	cpu = 1 + (unsigned int)below(smp_nr() - 1);
	smp_restart(cpu, (unsigned int)below(2));
	set_model(x2apic ? X2 : below(2) ? FLAT : CLUSTER);
}

void check_random(u64 seed)
{
	unsigned int wrong = 0;

	print("smp: %u random rounds, seed %lu\n", (u32)ROUNDS, seed);
	random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	forget_all();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (i % RESTART_EVERY == RESTART_EVERY - 1)
			restart_one();
		if (!one_round()) {
			wrong++;
			print("smp: round %u went wrong\n", i);
			forget_all();
		}
	}
	report_eq("random rounds", wrong, 0);
}
