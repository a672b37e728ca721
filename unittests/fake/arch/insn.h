/* SPDX-License-Identifier: MIT */
/* Instructions as plain C, as far as what is tested on the host needs them. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "lib/compiler.h"

#define RFLAGS_IF (1UL << 9)

/* unittests/fake/cpu.c */
extern bool fake_irqs_on;
extern uint64_t fake_cleared_bytes; /* by clear_words since the test set it */
/* unittests/fake/ram.c: as memset(p, 0, len), but gives back whole pages of the arena. */
void fake_ram_clear(void *p, uint64_t len);

static inline uint64_t irq_save(void)
{
	uint64_t flags = fake_irqs_on ? RFLAGS_IF : 0;

	fake_irqs_on = false;
	return flags;
}
static inline void irq_restore(uint64_t flags)
{
	if (flags & RFLAGS_IF)
		fake_irqs_on = true;
}
static inline bool irqs_enabled(void)
{
	return fake_irqs_on;
}
static inline void irq_disable(void)
{
	fake_irqs_on = false;
}
static inline uint64_t fetch_inc(uint64_t *p)
{
	return (*p)++;
}
/* unittests/fake/cpu.c: if set, what happens while the CPU waits. */
extern void (*fake_pause)(void);

static inline void cpu_pause(void)
{
	if (fake_pause)
		fake_pause();
}
static inline void memory_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void load_fence(void);
void verw(const uint16_t *selector);
static inline void clear_words(void *p, uint64_t len)
{
	fake_cleared_bytes += len;
	fake_ram_clear(p, len);
}
static inline void rep_movsb(void *dst, const void *src, uint64_t len)
{
	memcpy(dst, src, len);
}
static inline void rep_stosb(void *dst, uint8_t byte, uint64_t len)
{
	memset(dst, byte, len);
}
#include "arch/insn_vmx.h"
/* unittests/fake/mmu.c */
void write_cr3(uint64_t v);
uint64_t read_cr3(void);
