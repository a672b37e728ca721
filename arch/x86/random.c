/* SPDX-License-Identifier: MIT */
/* RDSEED, RDRAND and the TSC. */
#include "arch/random.h"
#include <stdbool.h>
#include <stddef.h>
#include "arch/insn.h"
#include "arch/regs.h"

/* SDM, volume 1, "Random Number Generator Instructions": RDRAND fails ten times in a row if it is broken. */
#define TRIES 10

static uint64_t state; /* sensitive */

static bool has_rdseed(void)
{
	return cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED;
}

static bool has_rdrand(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND;
}

const char *random_source(void)
{
	return has_rdseed() ? "RDSEED" : has_rdrand() ? "RDRAND" : NULL;
}

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014): each bit of @x reaches all. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Never protected: it makes the first canary. */
__no_stack_protector uint64_t random_word(void)
{
	bool seed = has_rdseed(), rand = has_rdrand();
	uint64_t v = 0;

	for (unsigned int i = 0; seed && i < TRIES && !rdseed(&v); i++)
		cpu_pause();
	state = mix(state ^ v ^ rdtsc());
	/* RDSEED may be exhausted by other CPUs, so both are asked. */
	for (unsigned int i = 0; rand && i < TRIES && !rdrand(&v); i++)
		;
	return state = mix(state ^ v);
}
