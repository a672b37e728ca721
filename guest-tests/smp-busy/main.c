/* SPDX-License-Identifier: MIT */
/*
 * smp-busy: all CPUs compute, with a secret in their registers and memory, and look all the while whether it is still
 * there.
 *
 * Why: with more vCPUs than CPUs, each must get on, none may find a register or a byte of another vCPU or VM in its
 * own, and the time that is left is measured. The loop that computes has no PAUSE and no exit.
 * Expected: pass, with a MEASURE line for each CPU: n= iterations, ticks= of the TSC that they took.
 * Arguments: n= iterations of each CPU (default 2000), or ms= milliseconds by the TSC; khz= its frequency where
 * CPUID leaf 15h has none. Of a thousand iterations, halt= halt with a timer armed, ipi= interrupt another
 * CPU, churn= give memory back to the hypervisor and take it again. secret= in hexadecimal, seed=,
 * mode=xapic|x2apic (default xapic); fair=PERCENT: at the end of ms= the slowest CPU must have so much of what the
 * fastest has. And cpus= and others of guest-tests/lib/smp.h.
 */
#include "guest-tests/smp-busy/busy.h"

enum { VEC_NAP = 0x61, VEC_IPI = 0x71, PER_MILLE = 1000, NAP_TICKS = 4000, TURNS = 400 };
enum { WORDS = 4 * PAGE_SIZE / 8, WORDS_AT_ONCE = 64, DEFAULT_KHZ = 1000000 };

struct worker workers[SMP_MAX];

static struct {
	u64 n, ticks, secret;
	u64 halt, ipi, churn;
} args;
static u64 memory[SMP_MAX][WORDS];
static volatile u32 napped[SMP_MAX];
static u64 inbox[SMP_MAX]; /* set of CPUs that have sent what was not taken yet */
static u64 received[SMP_MAX];

u64 pattern_of(unsigned int cpu)
{
	return args.secret ^ (u64)cpu << 56;
}

static void on_nap(struct trap_frame *f)
{
	(void)f;
	napped[smp_id()] = 1;
	apic_write(APIC_EOI, 0);
}

static void on_ipi(struct trap_frame *f)
{
	unsigned int me = smp_id();
	u64 from = __atomic_exchange_n(&inbox[me], 0, __ATOMIC_SEQ_CST);

	(void)f;
	for (; from; from &= from - 1)
		received[me]++;
	apic_write(APIC_EOI, 0);
}

/* One that finds the last still there is the same as that. */
static void send_one(struct worker *w, unsigned int me)
{
	unsigned int to = (unsigned int)random_below(&w->random_state, smp_nr());

	if (__atomic_fetch_or(&inbox[to], BIT(me), __ATOMIC_SEQ_CST) & BIT(me))
		return;
	w->sent++;
	smp_ipi(to, VEC_IPI);
}

static void nap(struct worker *w, unsigned int me)
{
	napped[me] = 0;
	apic_write(TIMER_INITIAL, 1 + (u32)random_below(&w->random_state, NAP_TICKS));
	irq_off();
	while (!napped[me])
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	irq_on();
	w->halts++;
}

/* Words of its own memory: are they as they were left? Then they are left otherwise, for the next time. */
static void check_memory(struct worker *w, unsigned int me, u64 pattern)
{
	u64 first = w->n * WORDS_AT_ONCE % WORDS, turn = w->n * WORDS_AT_ONCE / WORDS;

	for (u64 i = first; i < first + WORDS_AT_ONCE; i++) {
		w->bad_memory += memory[me][i] != (pattern ^ turn);
		memory[me][i] = pattern ^ (turn + 1);
	}
}

static bool chance(struct worker *w, u64 per_mille)
{
	return per_mille && random_below(&w->random_state, PER_MILLE) < per_mille;
}

static void work(u64 arg)
{
	unsigned int me = smp_id();
	struct worker *w = &workers[me];
	u64 pattern = pattern_of(me), start;

	(void)arg;
	for (unsigned int i = 0; i < WORDS; i++)
		memory[me][i] = pattern;
	apic_write(TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(LVT_TIMER, VEC_NAP);
	smp_barrier();
	irq_on();
	start = rdtsc();
	while (args.ticks ? rdtsc() - start < args.ticks : w->n < args.n) {
		w->bad_registers +=
			pattern_hold(pattern, random_below(&w->random_state, TURNS)) != 0;
		check_memory(w, me, pattern);
		if (chance(w, args.halt))
			nap(w, me);
		if (chance(w, args.ipi))
			send_one(w, me);
		if (chance(w, args.churn))
			churn(w, me);
		w->n++;
	}
	w->ticks = rdtsc() - start;
	apic_write(LVT_TIMER, MASKED);
	irq_off();
}

static u64 arg_hex(const char *key, u64 otherwise)
{
	const char *s = arg_find(key);
	u64 v = 0;

	if (!s)
		return otherwise;
	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v << 4 | (u64)(*s - '0');
		else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			v = v << 4 | (u64)((*s | 0x20) - 'a' + 10);
		else
			return v;
	}
}

/* SDM "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf". */
static u64 tsc_khz(void)
{
	struct cpuid c = { 0 };

	if (cpuid(0, 0).eax >= 0x15)
		c = cpuid(0x15, 0);
	if (c.eax && c.ebx && c.ecx)
		return arg_u64("khz", (u64)c.ecx * c.ebx / c.eax / 1000);
	return arg_u64("khz", DEFAULT_KHZ);
}

static void read_args(void)
{
	u64 seed = arg_u64("seed", 1), khz = tsc_khz();

	args.n = arg_u64("n", 2000);
	args.ticks = arg_u64("ms", 0) * khz;
	args.halt = arg_u64("halt", 0);
	args.ipi = arg_u64("ipi", 0);
	args.churn = arg_u64("churn", 0);
	args.secret = arg_hex("secret", (seed + 1) * RANDOM_MIX);
	for (unsigned int i = 0; i < SMP_MAX; i++)
		workers[i].random_state = (seed + i * RANDOM_MIX) * RANDOM_MIX | 1;
	print("busy: %u CPUs, seed %lu, secret %lx, %lu kHz, ", smp_nr(), seed, args.secret, khz);
	if (args.ticks)
		print("for %lu ticks\n", args.ticks);
	else
		print("%lu iterations\n", args.n);
}

static void print_all(u64 *least, u64 *most)
{
	u64 total = 0, ticks = 0;

	*least = ~0ull;
	*most = 0;
	for (unsigned int i = 0; i < smp_nr(); i++) {
		const struct worker *w = &workers[i];

		print("MEASURE kind=busy-cpu cpu=%u n=%lu ticks=%lu halts=%lu sent=%lu "
		      "received=%lu "
		      "churns=%lu\n",
		      i, w->n, w->ticks, w->halts, w->sent, received[i], w->churns);
		total += w->n;
		ticks = w->ticks > ticks ? w->ticks : ticks;
		*least = w->n < *least ? w->n : *least;
		*most = w->n > *most ? w->n : *most;
	}
	print("MEASURE kind=busy n=%lu ticks=%lu least=%lu most=%lu\n", total, ticks, *least,
	      *most);
}

static u64 nr_lost(void)
{
	u64 lost = 0;

	for (unsigned int i = 0; i < smp_nr(); i++)
		lost += workers[i].sent - *(volatile u64 *)&received[i];
	return lost;
}

/* The last ones may still be on their way; the others wait with interrupts on. */
static void wait_for_ipis(void)
{
	u64 start = rdtsc();

	irq_on();
	while (nr_lost() && rdtsc() - start < smp_patience())
		smp_relax();
	irq_off();
}

static void report_all(void)
{
	u64 registers = 0, words = 0, bad_churns = 0, least, most;

	wait_for_ipis();
	print_all(&least, &most);
	for (unsigned int i = 0; i < smp_nr(); i++) {
		registers += workers[i].bad_registers;
		words += workers[i].bad_memory;
		bad_churns += workers[i].bad_churns;
	}
	report_eq("registers kept", registers, 0);
	report_eq("memory kept", words, 0);
	report(least, "every CPU got on", "one did not");
	if (args.ipi)
		report_eq("every IPI came", nr_lost(), 0);
	if (args.churn)
		report_eq("memory comes and goes as asked for", bad_churns, 0);
	if (args.ticks && arg_find("fair"))
		report(least * 100 >= most * arg_u64("fair", 0), "in fair shares",
		       "%lu iterations, the fastest %lu", least, most);
}

void guest_main(void)
{
	smp_start(arg_is("mode", "x2apic"));
	read_args();
	trap_hook(VEC_NAP, on_nap);
	trap_hook(VEC_IPI, on_ipi);
	if (args.churn && !churn_init())
		args.churn = 0;
	smp_all(work, 0);
	report_all();
	churn_report();
	smp_stop();
}
