/* SPDX-License-Identifier: MIT */
/* One memory for all: locked operations, locks made of them, and the order of stores that x86 promises. */
#include "guest-tests/smp/test.h"

enum { ADDS = 20000, LOCKED = 5000, MESSAGES = 5000, FENCES = 100, SLOTS = 64 };

static u64 counter, plain;
static u32 lock;
static u32 bits;
static volatile u64 mailbox[SLOTS], mail_nr;
static u32 stale;
static volatile u32 flags[2];
static volatile u32 both_zero, seen[2];

static void add_job(u64 arg)
{
	(void)arg;
	smp_barrier();
	for (unsigned int i = 0; i < ADDS; i++)
		asm volatile("lock incq %0" : "+m"(counter));
}

/* A lock made of XCHG, and nothing locked inside. Not a fair one: that would take a time slice for each turn. */
static void lock_job(u64 arg)
{
	(void)arg;
	smp_barrier();
	for (unsigned int i = 0; i < LOCKED; i++) {
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			smp_relax();
		*(volatile u64 *)&plain = plain + 1;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

/* Each CPU flips a bit of a common word, by BTS and BTR: an odd number of times. */
static void bit_job(u64 arg)
{
	(void)arg;
	smp_barrier();
	for (unsigned int i = 0; i < ADDS + 1; i++)
		asm volatile("lock btcl %1, %0" : "+m"(bits) : "r"(smp_id() & 31) : "cc");
}

/* Stores are seen in their order: who sees the number sees the message. */
static void message_job(u64 arg)
{
	(void)arg;
	smp_barrier();
	if (smp_id() == 0) {
		for (u64 i = 1; i <= MESSAGES; i++) {
			mailbox[i % SLOTS] = i;
			mail_nr = i;
		}
		return;
	}
	for (u64 nr = 0; nr < MESSAGES;) {
		u64 what;

		nr = mail_nr;
		what = mailbox[nr % SLOTS];
		if (what < nr)
			__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
		smp_relax();
	}
}

/* Store, MFENCE, load, on two CPUs: at least one sees the other's store. */
static void fence_job(u64 arg)
{
	unsigned int me = smp_id();

	(void)arg;
	for (unsigned int i = 0; i < FENCES; i++) {
		if (me < 2)
			flags[me] = 0;
		smp_barrier();
		if (me < 2) {
			flags[me] = 1;
			asm volatile("mfence" : : : "memory");
			seen[me] = flags[1 - me];
		}
		smp_barrier();
		if (me == 0)
			both_zero += !seen[0] && !seen[1];
		smp_barrier();
	}
}

void check_memory(void)
{
	u32 want = 0;

	smp_all(add_job, 0);
	report_eq("a locked counter", counter, (u64)ADDS * smp_nr());
	smp_all(lock_job, 0);
	report_eq("a counter in a lock", plain, (u64)LOCKED * smp_nr());
	smp_all(bit_job, 0);
	for (unsigned int i = 0; i < smp_nr(); i++)
		want ^= 1u << (i & 31);
	report_eq("locked bits", bits, want);
	if (smp_nr() < 2)
		return;
	smp_all(message_job, 0);
	report_eq("stores are seen in their order", stale, 0);
	smp_all(fence_job, 0);
	report_eq("MFENCE between a store and a load", both_zero, 0);
}
