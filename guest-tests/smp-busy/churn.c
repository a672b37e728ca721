/* SPDX-License-Identifier: MIT */
/* HC_MEMORY_RELEASE and HC_MEMORY_CLAIM by several CPUs at once: of units of their own, and of one that all fight for. */
#include "guest-tests/smp-busy/busy.h"
#include "vmm/abi.h"

#define UNIT	     ((u64)HC_MEMORY_UNIT)
#define SHARED_STAMP 0x5ca1ab1e0ddba11ull
#define NOTHING	     (~0ull) /* what reads where no RAM is */

enum { STEP = 4096, REFUSED = HC_EINVAL };

static u64 shared, first_own;
static s64 shared_balance; /* claims less releases of the shared unit that were granted */
static bool in_use;

static volatile u64 *word(u64 addr)
{
	asm("" : "+r"(addr));
	return (volatile u64 *)addr;
}

static bool is_free_ram(u64 start, u64 end)
{
	for (unsigned int i = 0; i < boot.nr_map; i++)
		if (boot.map[i].type == 1 && boot.map[i].start <= start && boot.map[i].end >= end)
			return !info_used(start, end);
	return false;
}

bool churn_init(void)
{
	u64 len = (smp_nr() + 1) * UNIT;
	u64 at = ((u64)image_end + UNIT - 1) / UNIT * UNIT;

	if (!need_hypervisor("churn"))
		return false;
	while (at < 0x80000000 && !is_free_ram(at, at + len))
		at += UNIT;
	in_use = is_free_ram(at, at + len);
	if (!in_use)
		skip("churn", "too little memory for a unit of each CPU");
	shared = at;
	first_own = at + UNIT;
	return in_use;
}

static s64 memory_call(u64 nr, u64 at)
{
	s64 result;

	asm volatile("vmcall" : "=a"(result) : "a"(nr), "b"(at), "c"(UNIT), "d"(0) : "memory");
	return result;
}

/* Nobody else touches it, so all that happens to it is known. */
static void churn_own(struct worker *w, unsigned int cpu)
{
	u64 at = first_own + cpu * UNIT, pattern = pattern_of(cpu), bad = 0;

	for (u64 a = at; a < at + UNIT; a += STEP)
		*word(a) = pattern ^ a;
	for (u64 a = at; a < at + UNIT; a += STEP)
		bad += *word(a) != (pattern ^ a);
	bad += memory_call(HC_MEMORY_RELEASE, at) != 0;
	bad += *word(at + random_below(&w->random_state, UNIT / 8) * 8) != NOTHING;
	bad += memory_call(HC_MEMORY_CLAIM, at) != 0;
	for (u64 a = at; a < at + UNIT; a += STEP)
		bad += *word(a) != 0;
	w->bad_churns += bad;
}

/* At any time it may be there or not, cleared or stamped; but it never shows anything else. */
static void churn_shared(struct worker *w)
{
	u64 at = shared + random_below(&w->random_state, UNIT / 8) * 8, seen = *word(at);
	bool claims = random_below(&w->random_state, 2);
	s64 result = memory_call(claims ? HC_MEMORY_CLAIM : HC_MEMORY_RELEASE, shared);

	w->bad_churns += seen != 0 && seen != NOTHING && seen != SHARED_STAMP;
	w->bad_churns += result != 0 && result != REFUSED;
	if (result == 0)
		__atomic_add_fetch(&shared_balance, claims ? 1 : -1, __ATOMIC_SEQ_CST);
	*word(at) = SHARED_STAMP;
}

void churn(struct worker *w, unsigned int cpu)
{
	if (random_below(&w->random_state, 4))
		churn_shared(w);
	else
		churn_own(w, cpu);
	w->churns++;
}

void churn_report(void)
{
	s64 got;

	if (!in_use)
		return;
	report(shared_balance == 0 || shared_balance == -1, "releases and claims took turns",
	       "%ld more claims", shared_balance);
	got = memory_call(HC_MEMORY_CLAIM, shared);
	report_eq("the last of them counts", (u64)got, shared_balance ? 0 : (u64)(s64)REFUSED);
	report_eq("audit", (u64)hypercall(HC_AUDIT, 0, 0, 0), 0);
}
