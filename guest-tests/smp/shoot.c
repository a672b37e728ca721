/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown as a kernel does it: CPU 0 maps another page, tells the others, and uses the old page for something
 * else as soon as all have invalidated. They read through the mapping all the while.
 */
#include "guest-tests/smp/test.h"

#define WINDOW \
	0x80000000ul /* in reach of the tables of start.S; whatever is there is mapped again afterwards */
#define LARGE_PAGE    0x200000ul
#define POISON	      (~0ull)
#define PTE_FLAGS     3
#define READS_AT_ONCE 64

extern u64 page_dirs[];

static u64 table[512] __attribute__((aligned(4096)));
static volatile u64 pages[2][512] __attribute__((aligned(4096)));
static volatile u32 acks, stop;
static volatile u64 reads[SMP_MAX];
static volatile u32 wrong[SMP_MAX];

static void invalidate(void)
{
	asm volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
}

static void on_shoot(struct trap_frame *f)
{
	(void)f;
	invalidate();
	apic_write(APIC_EOI, 0);
	__atomic_add_fetch(&acks, 1, __ATOMIC_SEQ_CST);
}

/* A page in use has the number of its round; these go up only. */
static void read_job(u64 arg)
{
	volatile u64 *window = (volatile u64 *)WINDOW;
	unsigned int me = smp_id();
	u64 last = 0;

	(void)arg;
	while (!stop) {
		for (unsigned int i = 0; i < READS_AT_ONCE; i++) {
			u64 now = window[i * 8];

			if (now == POISON || now < last)
				wrong[me]++;
			last = now;
		}
		reads[me]++;
	}
}

static void stamp(volatile u64 *page, u64 value)
{
	for (unsigned int i = 0; i < READS_AT_ONCE; i++)
		page[i * 8] = value;
}

static bool shoot(u32 round)
{
	unsigned int new = round & 1;

	stamp(pages[new], round);
	acks = 0;
	*(volatile u64 *)&table[0] = (u64)pages[new] | PTE_FLAGS;
	invalidate();
	apic_send(0, ICR_OTHERS | ICR_ASSERT | VEC_SHOOT);
	if (!smp_await(&acks, smp_nr() - 1, smp_patience()))
		return false;
	stamp(pages[!new], POISON);
	return true;
}

static void reload_job(u64 arg)
{
	(void)arg;
	asm volatile("mov %%cr3, %%rax\n\tmov %%rax, %%cr3" : : : "rax", "memory");
}

void check_shootdown(void)
{
	u64 *entry = &page_dirs[WINDOW / LARGE_PAGE], saved = *entry, total = 0, least = ~0ull;
	u32 rounds = (u32)arg_u64("rounds", 1000), done = 0, bad = 0;

	if (smp_nr() < 2) {
		skip("shootdown", "nobody to shoot at");
		return;
	}
	trap_hook(VEC_SHOOT, on_shoot);
	stamp(pages[0], 0);
	stamp(pages[1], POISON);
	table[0] = (u64)pages[0] | PTE_FLAGS;
	*(volatile u64 *)entry = (u64)table | PTE_FLAGS;
	smp_all(reload_job, 0);
	stop = 0;
	for (unsigned int i = 1; i < smp_nr(); i++) {
		reads[i] = wrong[i] = 0;
		smp_call(i, read_job, 0);
	}
	while (done < rounds && shoot(done + 1))
		done++;
	stop = 1;
	for (unsigned int i = 1; i < smp_nr(); i++) {
		smp_wait(i);
		bad += wrong[i];
		total += reads[i];
		least = reads[i] < least ? reads[i] : least;
	}
	*(volatile u64 *)entry = saved;
	smp_all(reload_job, 0);
	print("smp: %u shootdowns, %lu turns of reading, at least %lu by each CPU\n", done, total,
	      least);
	report_eq("shootdowns are acknowledged", done, rounds);
	report_eq("nobody reads a page after that", bad, 0);
	report(least, "while all read", "one did not");
}
