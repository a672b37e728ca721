/* SPDX-License-Identifier: MIT */
/*
 * asi/switch.c itself, with a point before each access to a per-CPU word, each fence and around each
 * CR3 write: fake_mmu_point is called there, where an NMI may come.
 */
#pragma once
#include <string.h>
#include "unittests/memory.h"
#include "unittests/fake/machine.h"
#include "unittests/fake/mmu.h"
#include "arch/insn.h"
#include "arch/percpu.h"

static inline void switch_point(void)
{
	if (fake_mmu_point)
		fake_mmu_point();
}

#undef this_cpu
#undef this_cpu_xchg
#define this_cpu(var)	      (*(switch_point(), &(var)))
#define this_cpu_xchg(var, v) (fake_mmu_fence(), (void)(*&(var) = (v)), switch_point())
#define memory_fence()	      fake_mmu_fence()
/* Between two atomic instructions too. */
#define AT_POINT(x)                            \
	({                                     \
		switch_point();                \
		__typeof__(x) at_point_ = (x); \
		switch_point();                \
		at_point_;                     \
	})
#define __atomic_fetch_or(...)		 AT_POINT(__atomic_fetch_or(__VA_ARGS__))
#define __atomic_fetch_and(...)		 AT_POINT(__atomic_fetch_and(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) AT_POINT(__atomic_compare_exchange_n(__VA_ARGS__))
#include "asi/switch.c"
#include "asi/shootdown.c"
#include "asi/stun.c"
#undef __atomic_fetch_or
#undef __atomic_fetch_and
#undef __atomic_compare_exchange_n
#define SLOTS PCID_SLOTS

#define DOMAINS (SLOTS + 2)
static struct asi *domains[DOMAINS];

/* The CPU as at boot: nothing current, no slot in use, but for @victim the next to be taken. */
static inline void switch_reset(bool has_pcid, uint32_t victim)
{
	asi_curr = asi_target = NULL;
	memset(asi_slots, 0, sizeof(asi_slots));
	asi_victim_slot = victim;
	asi_cr3 = hostmap_cr3();
	asi_cr3_gen = 0;
	asi_host_on = 1;
	asi_host_seen = asi_host_gen;
	asi_all_seen = asi_flush_begun;
	asi_stats = (struct asi_stats){ 0 };
	trap_depth = 0;
	fake_irqs_on = false;
	fake_mmu_reset(has_pcid, hostmap_cr3());
}

static inline struct asi *switch_create(unsigned int i)
{
	struct asi *asi;

	assert_int_equal(asi_create(ASI_GUEST_VM, &fake_owners[i], &asi), 0);
	assert_non_null(asi);
	return asi;
}

static inline void switch_destroy(struct asi *asi)
{
	/* Whatever the tables that go were, nobody may translate by them from now on. */
	fake_mmu_unmapped(asi->pt.root);
	asi_put(asi);
}

static inline int switch_setup(void **state)
{
	fake_machine_setup(state);
	for (unsigned int i = 0; i < DOMAINS; i++)
		domains[i] = switch_create(i);
	return 0;
}

static inline int switch_teardown(void **state)
{
	(void)state;
	switch_reset(true, 0);
	for (unsigned int i = 0; i < DOMAINS; i++)
		asi_put(domains[i]);
	return 0;
}

static inline uint64_t loaded_root(void)
{
	return fake_cr3 & PTE_ADDR_MASK;
}

/* In @asi for good: all three words, CR3, and no translation that is older. */
static inline void check_in(const struct asi *asi)
{
	assert_ptr_equal(asi_curr, asi);
	assert_ptr_equal(asi_target, asi);
	assert_int_equal(loaded_root(), asi->pt.root.v);
	assert_int_equal(asi_host_cr3(), read_cr3());
	assert_true(fake_mmu_is_fresh());
	asi_check_entry(asi, asi_host_cr3());
}

static inline void check_out(void)
{
	assert_null(asi_curr);
	assert_int_equal(fake_cr3, hostmap_cr3());
	assert_int_equal(asi_host_cr3(), hostmap_cr3());
	assert_true(fake_mmu_is_fresh());
}

static inline int fresh(void **state)
{
	(void)state;
	switch_reset(true, 0);
	return 0;
}

/* The log of what was done since the last call is @want. */
static inline void check_log(const char *want)
{
	assert_string_equal(fake_mmu_log, want);
	fake_mmu_log[0] = '\0';
}
