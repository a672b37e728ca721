/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU memory at run time, in two halves as the static kind (arch/percpu.h): GLOBAL is mapped in
 * every restricted space, SENSITIVE in none. The halves share no counter, no lock and no memory, so
 * that neither starves the other or tells of it (asi.md, hole C14).
 *
 *	struct counters *c = percpu_alloc(sizeof(*c), 8, GLOBAL);
 *	percpu_this(c)->hits++;			this CPU's
 *	sum += percpu_ptr(c, cpu)->hits;	that of @cpu
 *	percpu_free(c);
 *
 * What percpu_alloc returns is a handle, no address: it is not canonical, so to follow it is a fault and
 * never another CPU's data.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "arch/percpu.h"
#include "arch/percpu_dyn.h"
#include "mm/class.h"

#define PERCPU_UNIT	 16 /* sizes are rounded up to it, and every object is aligned to it */
#define PERCPU_ALIGN_MAX PAGE_SIZE
#define PERCPU_HANDLE	 (1UL << 62) /* taken off CPU 0's address */

/*
 * @size bytes, up to PERCPU_DYN_SIZE, zero on every CPU, aligned to @align, a power of two up to
 * PERCPU_ALIGN_MAX; NULL if there is no room. What an empty area has no room for either is the caller's bug: a
 * panic that names it. Any context but NMI; SENSITIVE memory and its books cross, GLOBAL ones do not.
 */
void *percpu_alloc(size_t size, size_t align, enum mem_class class);
/* Gives back what percpu_alloc returned; anything else is a panic that names it. NULL is ignored. */
void percpu_free(const void *handle);

/* The address of @cpu's copy. */
#define percpu_ptr(handle, cpu) \
	((__typeof__(handle))((uintptr_t)(handle) + PERCPU_HANDLE + (uintptr_t)(cpu)*PERCPU_STRIDE))
/* Of this CPU's. The caller does not move to another CPU meanwhile. */
#define percpu_this(handle) percpu_ptr(handle, this_cpu(cpu_number))

struct percpu_stats {
	uint64_t size, used, max_used; /* bytes of each CPU */
	uint64_t objects;
	uint64_t failures; /* percpu_alloc calls that returned NULL */
};
void percpu_get_stats(enum mem_class class, struct percpu_stats *out);

/* Both areas of @cpu are mapped and clear: what is allocated from now on is cleared there too. */
void percpu_add_cpu(uint32_t cpu);
