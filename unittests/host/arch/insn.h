/* SPDX-License-Identifier: MIT */
/*
 * Instructions for tests with several threads and for benchmarks. A thread plays a CPU; it takes no
 * interrupts, so switching them off costs nothing here (on the machine: PUSHF and CLI).
 */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "lib/compiler.h"

#define RFLAGS_IF (1UL << 9)

/*
 * unittests/host/cpu.c: clears of whole pageblocks are counted, and done only if this is set. A benchmark
 * of bookkeeping switches them off.
 */
extern bool host_scrubs;
extern _Thread_local uint64_t host_scrubbed; /* bytes */

static inline uint64_t irq_save(void)
{
	return 0;
}
static inline void irq_restore(uint64_t flags)
{
	(void)flags;
}
static inline bool irqs_enabled(void)
{
	return false;
}
static inline void irq_disable(void)
{
}
static inline uint64_t fetch_inc(uint64_t *p)
{
	return (*p)++;
}
static inline void cpu_pause(void)
{
	sched_yield(); /* there may be fewer cores than threads */
}
static inline uint64_t rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}
/* An atomic instruction, as ThreadSanitizer knows no fences; on a word that orders nothing for others. */
static inline void memory_fence(void)
{
	static _Thread_local uint64_t own;

	__atomic_fetch_add(&own, 1, __ATOMIC_SEQ_CST);
}
static inline void clear_words(void *p, uint64_t len)
{
	if (len >= 0x200000) {
		host_scrubbed += len;
		if (!host_scrubs)
			return;
	}
	memset(p, 0, len);
}
static inline void rep_movsb(void *dst, const void *src, uint64_t len)
{
	memcpy(dst, src, len);
}
static inline void rep_stosb(void *dst, uint8_t byte, uint64_t len)
{
	memset(dst, byte, len);
}
/* A test's own. */
void irq_window(void);
/* unittests/fake/mmu.c */
void write_cr3(uint64_t v);
uint64_t read_cr3(void);
