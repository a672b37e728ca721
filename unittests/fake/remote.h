/* SPDX-License-Identifier: MIT */
/*
 * Other CPUs for a test with one thread: each has a copy of the per-CPU variables, which the test writes as that
 * CPU would. Included by the test itself.
 */
#pragma once
#include <string.h>
#include "arch/percpu.h"
#include "lib/assert.h"

#define REMOTE_CPUS 3	  /* numbers 1 to 3 */
#define REMOTE_TLS  65536 /* what a program of ours has of thread-local variables, by far */

static char remote_tls[REMOTE_CPUS][REMOTE_TLS];

/* Like this CPU's, as they stand now. A thread-local variable lies below the thread pointer. */
static inline void remote_reset(void)
{
	char *own = __builtin_thread_pointer();

	for (unsigned int i = 0; i < REMOTE_CPUS; i++)
		fake_thread_pointer[i + 1] = remote_tls[i] + REMOTE_TLS;
	ASSERT((uint64_t)(own - (char *)&cpu_number) < REMOTE_TLS);
}
