/* SPDX-License-Identifier: MIT */
/* What tests of asi/stun.c share: this CPU is thread 0 of a core, and a sibling of the test's making is thread 1. */
#pragma once
#include "unittests/asi_switch.h"
#include "unittests/fake/remote.h"
#include "asi/mitigate.h"

#define STUN_G (1UL << STUN_THREADS) /* of thread 0; its U is 1 */

static bool sibling_kicked;

/* What is real code runs as that CPU, as one instruction. */
#define AS_SIBLING(call)                               \
	do {                                           \
		struct asi *curr_ = asi_curr;          \
		uint64_t since_ = stun_held_since;     \
		void (*point_)(void) = fake_mmu_point; \
		fake_mmu_point = NULL;                 \
		stun_me = 2;                           \
		cpu_number = 1;                        \
		asi_curr = domains[1];                 \
		call;                                  \
		asi_curr = curr_;                      \
		stun_held_since = since_;              \
		stun_me = 1;                           \
		cpu_number = 0;                        \
		fake_mmu_point = point_;               \
	} while (0)

static inline uint64_t word(void)
{
	return stun_cores[0].word;
}

static inline bool outside(void)
{
	return loaded_root() == hostmap_cr3();
}

static inline void kick_sibling(uint32_t cpu)
{
	assert_int_equal(cpu, 1);
	sibling_kicked = true;
}

/* This CPU outside, the sibling restricted, both in use; all flushes there are. */
static inline int stun_start(void **state)
{
	const unsigned int all = FLUSH_L1D | FLUSH_VERW | FLUSH_IBPB | FLUSH_RSB;

	fresh(state);
	remote_reset();
	fake_nr_cpus = 2;
	fake_core = 3;
	fake_active = 3;
	fake_kick = kick_sibling;
	fake_pause = NULL;
	fake_mitigation = (struct mitigation_cpu){ .has = all, .needs = all, .l1d_msr = true };
	assert_int_equal(mitigate_init(MITIGATE_ASI), 0);
	mitigate_init_cpu();
	memset(stun_cores, 0, sizeof(stun_cores));
	stun_stats = (struct stun_stats){ 0 };
	stun_held_since = 0;
	sibling_kicked = false;
	stun_init(true, 3);
	return 0;
}

static inline int stun_stop(void **state)
{
	(void)state;
	fake_mmu_point = NULL;
	fake_mmu_on_flush = NULL;
	fake_pause = NULL;
	fake_kick = NULL;
	fake_active = fake_core = fake_nr_cpus = 1;
	stun_core = NULL;
	fake_mitigation = (struct mitigation_cpu){ 0 };
	return mitigate_init(MITIGATE_NONE);
}
