/* SPDX-License-Identifier: MIT */
/* arch/spinlock.h as debug builds have it: a ticket lock, and the one order that all are taken in. */
#include <stdlib.h>
#include "unittests/memory.h"
#include "arch/insn.h"
#include "arch/x86/include/arch/spinlock.h"

_Thread_local uint32_t cpu_number, locks_held, lock_ranks;
bool fake_irqs_on = true;
void (*fake_pause)(void);
char fake_panic_text[256];

void fake_assert_failed(const char *expression, const char *file, int line)
{
	mock_assert(0, expression, file, line); /* jumps back into expect_assert_failure() */
	abort();
}

static int start(void **state)
{
	(void)state;
	locks_held = lock_ranks = 0;
	fake_irqs_on = true;
	return 0;
}

/* Held from lock to unlock, interrupts off meanwhile and then as before. */
static void test_held(void **state)
{
	struct spinlock a = SPINLOCK(LOCK_VM), b;
	uint64_t flags, inner;

	(void)state;
	spin_init(&b, LOCK_BUDDY);
	flags = spin_lock(&a);
	assert_true(spin_is_held(&a) && !fake_irqs_on && locks_held == 1);
	inner = spin_lock(&b);
	assert_true(spin_is_held(&b) && locks_held == 2);
	spin_unlock(&b, inner);
	assert_true(!spin_is_held(&b) && !fake_irqs_on);
	spin_unlock(&a, flags);
	assert_true(!spin_is_held(&a) && fake_irqs_on);
	assert_int_equal(locks_held | lock_ranks, 0);
}

static void refused(struct spinlock *l)
{
	expect_assert_failure(spin_lock(l));
}

/* Every pair of ranks: the inner one must be the higher one. */
static void test_order(void **state)
{
	for (uint32_t outer = LOCK_VM; outer <= LOCK_CONSOLE; outer++) {
		for (uint32_t inner = LOCK_VM; inner <= LOCK_CONSOLE; inner++) {
			struct spinlock a = SPINLOCK(outer), b = SPINLOCK(inner);

			start(state);
			spin_lock(&a);
			if (inner > outer)
				spin_unlock(&b, spin_lock(&b));
			else
				refused(&b);
		}
	}
}

/* Not the last one only: whoever is held counts, in whatever order they are given back. */
static void test_three(void **state)
{
	struct spinlock vm = SPINLOCK(LOCK_VM), slab = SPINLOCK(LOCK_SLAB);
	struct spinlock buddy = SPINLOCK(LOCK_BUDDY), caches = SPINLOCK(LOCK_CACHES);

	(void)state;
	spin_lock(&vm);
	spin_lock(&slab);
	spin_lock(&buddy);
	spin_unlock(&vm, 0);
	spin_unlock(&buddy, 0);
	expect_assert_failure(spin_lock(&caches));
	spin_unlock(&slab, 0);
	spin_unlock(&caches, spin_lock(&caches));
}

/* A lock that nobody has made is found at its first use. */
static void test_unranked(void **state)
{
	struct spinlock zero = { 0 };

	(void)state;
	expect_assert_failure(spin_lock(&zero));
}

static struct spinlock *contended;

static void owner_leaves(void)
{
	contended->owner++;
	fake_pause = NULL;
}

/* Who comes second waits for its turn. */
static void test_waits(void **state)
{
	struct spinlock l = SPINLOCK(LOCK_VM);
	uint64_t flags;

	(void)state;
	l.next = 1; /* another CPU's */
	contended = &l;
	fake_pause = owner_leaves;
	flags = spin_lock(&l);
	assert_null(fake_pause);
	assert_int_equal(l.owner, 1);
	spin_unlock(&l, flags);
	assert_false(spin_is_held(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_held, start),
		cmocka_unit_test_setup(test_order, start),
		cmocka_unit_test_setup(test_three, start),
		cmocka_unit_test_setup(test_unranked, start),
		cmocka_unit_test_setup(test_waits, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
