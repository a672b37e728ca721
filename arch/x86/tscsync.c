/* SPDX-License-Identifier: MIT */
#include "arch/tscsync.h"
#include "arch/insn.h"
#include "lib/bitops.h"

#define QUESTIONS 200 /* the first ones only warm the caches */

/* Behind all loads: RDTSC alone may be executed before them. */
static uint64_t read_ordered(void)
{
	load_fence();
	return rdtsc();
}

bool tscsync_ask(struct tscsync *s, uint64_t patience, uint64_t *off)
{
	*off = 0;
	for (uint32_t n = 1; n <= QUESTIONS; n++) {
		uint64_t before = read_ordered(), now, reading;

		__atomic_store_n(&s->asked, n, __ATOMIC_RELEASE);
		do {
			now = read_ordered();
			if (now - before > patience)
				return false;
			cpu_pause();
		} while (__atomic_load_n(&s->answered, __ATOMIC_ACQUIRE) != n);
		now = read_ordered();
		reading = s->reading;
		if (reading < before)
			*off = MAX(*off, before - reading);
		else if (reading > now)
			*off = MAX(*off, reading - now);
	}
	return true;
}

void tscsync_answer(struct tscsync *s)
{
	uint32_t n = __atomic_load_n(&s->asked, __ATOMIC_ACQUIRE);

	if (n == s->answered)
		return;
	s->reading = read_ordered();
	__atomic_store_n(&s->answered, n, __ATOMIC_RELEASE);
}
