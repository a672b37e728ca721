/* SPDX-License-Identifier: MIT */
/*
 * balloon: a guest that gives memory back and takes it again.
 *
 * Why: what is given back must be gone at once, for the guest (EPT), for the hypervisor on the guest's
 * behalf (string I/O, page tables) and in every restricted space (the audit), must come back cleared
 * and not as it was, and whatever nonsense is asked for must change nothing.
 * Expected: pass; the rounds follow seed=, n= says how many.
 */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

#define UNIT	   ((u64)HC_MEMORY_UNIT)
#define FIRST_UNIT 4 /* below: the image, the stack, what the loader put there */
#define UNITS_MAX  64
#define MIX	   0x9e3779b97f4a7c15ull

enum { EINVAL_RESULT = HC_EINVAL, UNCLAIMED_PORT = 0x4d8 };

static u64 nr_units, random_state;
static bool present[UNITS_MAX];
static u64 stamp[UNITS_MAX]; /* what each word of a unit holds, but for its place; 0: cleared */
static u64 wrong;

static volatile u64 *word(u64 addr)
{
	asm("" : "+r"(addr));
	return (volatile u64 *)addr;
}

static u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static s64 release(u64 unit, u64 nr)
{
	return hypercall(HC_MEMORY_RELEASE, unit * UNIT, nr * UNIT, 0);
}

static s64 claim(u64 unit, u64 nr)
{
	return hypercall(HC_MEMORY_CLAIM, unit * UNIT, nr * UNIT, 0);
}

static void fill(u64 unit)
{
	stamp[unit] = next_random() | 1;
	for (u64 a = unit * UNIT; a < (unit + 1) * UNIT; a += 512)
		*word(a) = stamp[unit] ^ a;
}

/* Present units hold what was written or zero, the others all ones. A few words of each. */
static void check(u64 unit)
{
	for (u64 i = 0; i < 8; i++) {
		u64 a = unit * UNIT + i * (UNIT / 8);
		u64 want = stamp[unit] ? stamp[unit] ^ a : 0;

		wrong += *word(a) != (present[unit] ? want : ~0ull);
	}
}

static bool is_zero(u64 unit)
{
	u64 bits = 0;

	for (u64 a = unit * UNIT; a < (unit + 1) * UNIT; a += 8)
		bits |= *word(a);
	return bits == 0;
}

static bool all_are(u64 unit, u64 nr, bool want)
{
	for (u64 i = unit; i < unit + nr; i++)
		if (present[i] != want)
			return false;
	return true;
}

static void set(u64 unit, u64 nr, bool want)
{
	for (u64 i = unit; i < unit + nr; i++) {
		present[i] = want;
		stamp[i] = 0;
	}
}

/* A range at random: what is right is done, what is wrong is refused and changes nothing. */
static void round_of(void)
{
	u64 unit = FIRST_UNIT + next_random() % (nr_units - FIRST_UNIT);
	u64 nr = 1 + next_random() % 4, most = nr_units - unit;
	bool give = next_random() & 1;
	s64 got;

	nr = nr < most ? nr : most;
	got = give ? release(unit, nr) : claim(unit, nr);
	if (!all_are(unit, nr, give)) {
		wrong += got != EINVAL_RESULT;
	} else {
		wrong += got != 0;
		set(unit, nr, !give);
		if (!give) {
			wrong += !is_zero(unit);
			fill(unit);
		}
	}
	check(FIRST_UNIT + next_random() % (nr_units - FIRST_UNIT));
}

static void check_bad_arguments(void)
{
	static const struct {
		u64 gpa, len;
	} bad[] = {
		{ 0, HC_MEMORY_UNIT },		     /* has the hole for video memory */
		{ 8 * UNIT, 0 },		     /* nothing */
		{ 8 * UNIT + 4096, HC_MEMORY_UNIT }, /* not aligned */
		{ 8 * UNIT, HC_MEMORY_UNIT + 1 },    /* no whole units */
		{ 8 * UNIT, HC_MEMORY_MAX + UNIT },  /* too much at once */
		{ ~0ull - UNIT + 1, UNIT },	     /* behind everything */
		{ ~0ull - UNIT + 1, 2 * UNIT },	     /* ... and around the end */
		{ 8 * UNIT, ~0ull - UNIT + 1 },	     /* a length that wraps */
		{ 1ull << 46, UNIT },		     /* not an address at all */
		{ 0xfffffffffffff000ull, 0xfffffffffffff000ull },
	};
	u64 refused = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		refused += hypercall(HC_MEMORY_RELEASE, bad[i].gpa, bad[i].len, 0) == HC_EINVAL;
		refused += hypercall(HC_MEMORY_CLAIM, bad[i].gpa, bad[i].len, 0) == HC_EINVAL;
	}
	report_eq("bad arguments are refused", refused, 2 * ARRAY_SIZE(bad));
	report_eq("the end of memory is not behind it", (u64)release(nr_units - 1, 2),
		  (u64)HC_EINVAL);
	report_eq("no claim of what is there", (u64)claim(FIRST_UNIT, 1), (u64)HC_EINVAL);
}

/* The hypervisor reads and writes guest memory for string I/O: there it is gone as well. */
static void check_string_io(u64 unit)
{
	u64 di = unit * UNIT, si = unit * UNIT, cx = 16;

	asm volatile("rep insb" : "+D"(di), "+c"(cx) : "d"(UNCLAIMED_PORT) : "memory");
	cx = 16;
	asm volatile("rep outsb" : "+S"(si), "+c"(cx) : "d"(UNCLAIMED_PORT) : "memory");
	report(di == unit * UNIT + 16 && si == di, "string I/O into the gap goes on", "at 0x%lx",
	       di);
}

static u64 find_units(void)
{
	u64 end = 0;

	for (unsigned int i = 0; i < boot.nr_map; i++)
		if (boot.map[i].type == 1 && boot.map[i].end > end)
			end = boot.map[i].end;
	return end / UNIT < UNITS_MAX ? end / UNIT : UNITS_MAX;
}

static void check_one(void)
{
	u64 unit = FIRST_UNIT + 1;

	for (u64 i = FIRST_UNIT; i < nr_units; i++) {
		present[i] = true;
		fill(i);
	}
	report_eq("release", (u64)release(unit, 2), 0);
	set(unit, 2, false);
	report_eq("audit: in no restricted space", (u64)hypercall(HC_AUDIT, 0, 0, 0), 0);
	report_eq("reads as nothing", *word(unit * UNIT + 8), ~0ull);
	*word(unit * UNIT + 8) = 0;
	report_eq("written in vain", *word(unit * UNIT + 8), ~0ull);
	check_string_io(unit);
	report_eq("no second release", (u64)release(unit, 1), (u64)HC_EINVAL);
	report_eq("nor one that overlaps", (u64)release(unit - 1, 2), (u64)HC_EINVAL);
	report_eq("claim", (u64)claim(unit, 2), 0);
	set(unit, 2, true);
	report(is_zero(unit) && is_zero(unit + 1), "comes back cleared", "it does not");
	for (u64 i = FIRST_UNIT; i < nr_units; i++)
		check(i);
	report_eq("the neighbours are as they were", wrong, 0);
	report_eq("audit: with the memory back", (u64)hypercall(HC_AUDIT, 0, 0, 0), 0);
}

void guest_main(void)
{
	u64 seed = arg_u64("seed", 1), rounds = arg_u64("n", 200);

	if (!need_hypervisor("balloon"))
		return;
	nr_units = find_units();
	print("balloon: %lu units, seed %lu\n", nr_units, seed);
	random_state = (seed + 1) * MIX;
	report(nr_units > FIRST_UNIT + 4 && !info_used(FIRST_UNIT * UNIT, nr_units * UNIT) &&
		       (u64)image_end <= FIRST_UNIT * UNIT,
	       "room to play", "%lu units", nr_units);
	check_one();
	check_bad_arguments();
	wrong = 0;
	for (u64 i = 0; i < rounds; i++)
		round_of();
	report_eq("random ranges", wrong, 0);
	for (u64 i = FIRST_UNIT; i < nr_units; i++)
		check(i);
	report_eq("all as it should be at the end", wrong, 0);
	report_eq("audit: at the end", (u64)hypercall(HC_AUDIT, 0, 0, 0), 0);
}
