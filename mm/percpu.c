/* SPDX-License-Identifier: MIT */
/*
 * The dynamic per-CPU parts: one offset is taken on all CPUs at once. Two bitmaps say which units of
 * 16 bytes are taken, and in which of them an object begins; its end is the next that begins or is
 * free. So the books are small, lie in the class they speak of, and free neighbours need no merging.
 */
#include "mm/percpu.h"
#include "arch/insn.h"
#include "arch/spinlock.h"
#include "lib/bitops.h"
#include "lib/panic.h"

#define UNITS (PERCPU_DYN_SIZE / PERCPU_UNIT)

struct percpu_half {
	struct spinlock lock;
	uint64_t taken[UNITS / 64], begins[UNITS / 64];
	struct percpu_stats stats;
};

static __nonsensitive struct percpu_half percpu_global = { .lock = SPINLOCK(LOCK_PERCPU) };
static struct percpu_half percpu_secret = { .lock = SPINLOCK(LOCK_PERCPU) };
static __nonsensitive uint64_t percpu_cpus; /* that have areas, a bit each */
_Static_assert(CPUS_MAX <= 64, "a bit for each CPU");

static bool bit_get(const uint64_t *map, uint64_t i)
{
	return map[i / 64] >> i % 64 & 1;
}

static void bit_put(uint64_t *map, uint64_t i, bool value)
{
	map[i / 64] = (map[i / 64] & ~BIT(i % 64)) | (uint64_t)value << i % 64;
}

static struct percpu_half *half_of(bool sensitive)
{
	return sensitive ? &percpu_secret : &percpu_global;
}

/* First fit; UNITS if there is no room. @align in units. */
static uint64_t find_units(const struct percpu_half *half, uint64_t nr, uint64_t align)
{
	uint64_t first = 0, at = 0;

	while (first + nr <= UNITS && at < first + nr) {
		if (bit_get(half->taken, at))
			at = first = ALIGN_UP(at + 1, align);
		else
			at++;
	}
	return first + nr <= UNITS ? first : UNITS;
}

/* Takes @nr units; the first of them, or UNITS. */
static uint64_t take_units(struct percpu_half *half, uint64_t nr, uint64_t align)
{
	uint64_t flags = spin_lock(&half->lock), first = find_units(half, nr, align);

	if (first == UNITS) {
		half->stats.failures++;
	} else {
		for (uint64_t i = first; i < first + nr; i++)
			bit_put(half->taken, i, true);
		bit_put(half->begins, first, true);
		half->stats.objects++;
		half->stats.used += nr * PERCPU_UNIT;
		half->stats.max_used = MAX(half->stats.max_used, half->stats.used);
	}
	spin_unlock(&half->lock, flags);
	return first;
}

void *percpu_alloc(size_t size, size_t align, enum mem_class class)
{
	bool sensitive = class == SENSITIVE;
	uint64_t nr, first;
	char *handle;

	if (!size || size > PERCPU_DYN_SIZE || !align || (align & (align - 1)) ||
	    align > PERCPU_ALIGN_MAX || (!sensitive && class != GLOBAL))
		panic("percpu_alloc of %lu bytes, align %lu, class %u, called from 0x%lx: no such "
		      "memory",
		      size, align, class, (uint64_t)__builtin_return_address(0));
	nr = DIV_ROUND_UP(size, PERCPU_UNIT);
	first = take_units(half_of(sensitive), nr, MAX(align / PERCPU_UNIT, 1));
	if (first == UNITS)
		return NULL;
	handle = (char *)(percpu_dyn_area(sensitive) + first * PERCPU_UNIT - PERCPU_HANDLE);
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		if (__atomic_load_n(&percpu_cpus, __ATOMIC_ACQUIRE) & BIT(cpu))
			clear_words(percpu_ptr(handle, cpu), nr * PERCPU_UNIT);
	return handle;
}

/* Frees the object that begins in unit @first; what is wrong if none does. */
static const char *give_units(struct percpu_half *half, uint64_t first)
{
	uint64_t flags = spin_lock(&half->lock), i = first;
	const char *wrong = NULL;

	if (!bit_get(half->taken, first)) {
		wrong = "free already";
	} else if (!bit_get(half->begins, first)) {
		wrong = "inside an object";
	} else {
		bit_put(half->begins, first, false);
		do {
			bit_put(half->taken, i++, false);
		} while (i < UNITS && bit_get(half->taken, i) && !bit_get(half->begins, i));
		half->stats.objects--;
		half->stats.used -= (i - first) * PERCPU_UNIT;
	}
	spin_unlock(&half->lock, flags);
	return wrong;
}

void percpu_free(const void *handle)
{
	uint64_t hva = (uint64_t)handle + PERCPU_HANDLE;
	const char *wrong = "no handle";

	if (!handle)
		return;
	for (unsigned int sensitive = 0; sensitive < 2; sensitive++) {
		uint64_t at = hva - percpu_dyn_area(sensitive);

		if (at < PERCPU_DYN_SIZE && IS_ALIGNED(at, PERCPU_UNIT))
			wrong = give_units(half_of(sensitive), at / PERCPU_UNIT);
	}
	if (wrong)
		panic("percpu_free of 0x%lx, called from 0x%lx: %s", (uint64_t)handle,
		      (uint64_t)__builtin_return_address(0), wrong);
}

void percpu_get_stats(enum mem_class class, struct percpu_stats *out)
{
	struct percpu_half *half = half_of(class == SENSITIVE);
	uint64_t flags = spin_lock(&half->lock);

	*out = half->stats;
	out->size = PERCPU_DYN_SIZE;
	spin_unlock(&half->lock, flags);
}

void percpu_add_cpu(uint32_t cpu)
{
	__atomic_fetch_or(&percpu_cpus, BIT(cpu), __ATOMIC_RELEASE);
}
