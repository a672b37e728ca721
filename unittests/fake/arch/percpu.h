/* SPDX-License-Identifier: MIT */
/* Per-CPU variables as thread-local ones: a test that wants two CPUs starts two threads. */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"

#define __percpu	   _Thread_local
#define __percpu_sensitive _Thread_local

#define this_cpu(var)		(var)
#define this_cpu_ptr(var)	(&(var))
#define this_cpu_sensitive(var) (&(var))

/*
 * A thread-local variable lies equally far from the thread pointer in every thread. A test with several CPUs
 * notes there what __builtin_thread_pointer() is on each.
 */
extern char *fake_thread_pointer[];
#define percpu_of(cpu, var)                                                        \
	((__typeof__(var) *)((char *)&(var) - (char *)__builtin_thread_pointer() + \
			     fake_thread_pointer[cpu]))

extern char __percpu_start[]; /* of the image's template, where a test has one */

#define this_cpu_xchg(var, v) __atomic_store_n(&(var), (v), __ATOMIC_SEQ_CST)

extern _Thread_local uint32_t cpu_number;

/* As the real one: where the template of a per-CPU variable stands. A test's own. */
uint64_t percpu_template(uint64_t va);
