/* SPDX-License-Identifier: MIT */
/* The fake processor: assertions, locks, interrupts, per-CPU data. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "lib/assert.h"

#define LOCKS_MAX 8

char fake_panic_text[256];
unsigned long fake_panic_rip;
bool fake_irqs_on = true;
void (*fake_pause)(void);
void (*fake_interrupt)(void);
uint64_t fake_cleared_bytes;
_Thread_local uint32_t cpu_number;
__attribute__((weak))
uint64_t fake_tsc; /* stands still, unless the test has a machine that says otherwise */
_Thread_local uint32_t locks_held;

static struct spinlock *held[LOCKS_MAX];
static unsigned int nr_held;

static __noreturn void give_up(const char *file, int line)
{
	while (nr_held)
		held[--nr_held]->owner++;
	locks_held = 0;
	fake_irqs_on = true;
	/* Jumps back into expect_assert_failure(), or ends the test. */
	mock_assert(0, fake_panic_text, file, line);
	abort();
}

void fake_assert_failed(const char *expression, const char *file, int line)
{
	snprintf(fake_panic_text, sizeof(fake_panic_text), "%s", expression);
	give_up(file, line);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_panic_text, sizeof(fake_panic_text), fmt, ap);
	va_end(ap);
	give_up("panic", 0);
}

void panic_at(unsigned long rip, unsigned long rbp, const char *fmt, ...)
{
	va_list ap;

	(void)rbp;
	fake_panic_rip = rip;
	va_start(ap, fmt);
	vsnprintf(fake_panic_text, sizeof(fake_panic_text), fmt, ap);
	va_end(ap);
	give_up("panic", 0);
}

bool spin_is_held(const struct spinlock *l)
{
	return l->next != l->owner;
}

uint64_t spin_lock(struct spinlock *l)
{
	void (*interrupt)(void) = fake_interrupt;
	uint64_t flags;

	if (interrupt && fake_irqs_on) {
		fake_interrupt = NULL;
		interrupt();
	}
	flags = irq_save();
	ASSERT(!spin_is_held(l));
	ASSERT(nr_held < LOCKS_MAX);
	ASSERT(l->rank != LOCK_UNRANKED && (!nr_held || held[nr_held - 1]->rank < l->rank));
	l->next++;
	held[nr_held++] = l;
	locks_held++;
	return flags;
}

void spin_unlock(struct spinlock *l, uint64_t flags)
{
	ASSERT(nr_held && held[nr_held - 1] == l);
	nr_held--;
	locks_held--;
	l->owner++;
	irq_restore(flags);
}

unsigned int fake_locks_held(void)
{
	return nr_held;
}
