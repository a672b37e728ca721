/* SPDX-License-Identifier: MIT */
/*
 * mm/percpu.c on three CPUs' areas in one array: sizes and alignments, exhaustion, merging, the two
 * halves apart, bad use, and a random walk against an owner for each byte.
 */
#include <string.h>
#include "unittests/memory.h"
#include "lib/assert.h"
#include "mm/percpu.h"
#include "unittests/seed.h"

#define CPUS FAKE_PERCPU_CPUS

uint8_t fake_percpu[2][CPUS][PERCPU_STRIDE] __attribute__((aligned(PAGE_SIZE)));

static const enum mem_class classes[] = { GLOBAL, SENSITIVE };

static int setup(void **state)
{
	(void)state;
	memset(fake_percpu, 0xee, sizeof(fake_percpu));
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		percpu_add_cpu(cpu);
	return 0;
}

static struct percpu_stats stats(enum mem_class class)
{
	struct percpu_stats s;

	percpu_get_stats(class, &s);
	return s;
}

static int check_all_returned(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++) {
		struct percpu_stats s = stats(classes[i]);

		if (s.used || s.objects || s.size != PERCPU_DYN_SIZE)
			return -1;
	}
	return 0;
}

/* Where the object stands in CPU 0's dynamic part of its half. */
static uint64_t offset_of(const uint8_t *handle, enum mem_class class)
{
	return (uint64_t)(percpu_ptr(handle, 0) - fake_percpu[class == SENSITIVE][0]) -
	       PERCPU_DYN_OFFSET;
}

/* A fresh object lies in its half on each CPU, at the same place, aligned, and reads as zero. */
static void check_fresh(const uint8_t *handle, size_t size, size_t align, enum mem_class class)
{
	uint64_t offset = offset_of(handle, class);

	assert_true((uint64_t)handle >> 47 &&
		    ~((uint64_t)handle >> 47) & 0x1ffff); /* not canonical */
	assert_true(offset < PERCPU_DYN_SIZE && size <= PERCPU_DYN_SIZE - offset);
	assert_true(IS_ALIGNED(offset, MAX(align, PERCPU_UNIT)));
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		const uint8_t *p = percpu_ptr(handle, cpu);

		assert_ptr_equal(p,
				 &fake_percpu[class == SENSITIVE][cpu][PERCPU_DYN_OFFSET + offset]);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
	}
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 1, 8, 15, 16, 17, 100, 4095, 4096, 30000, PERCPU_DYN_SIZE };
	static const size_t aligns[] = { 1, 2, 8, 16, 32, 64, 1024, PERCPU_ALIGN_MAX };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(aligns) * 2; i++) {
		enum mem_class class = classes[i % 2];
		size_t size = sizes[i / 2 % ARRAY_SIZE(sizes)];
		size_t align = aligns[i / 2 / ARRAY_SIZE(sizes)];
		uint8_t *a = percpu_alloc(size, align, class), *b = NULL;

		check_fresh(a, size, align, class);
		assert_int_equal(stats(class).used, ALIGN_UP(size, PERCPU_UNIT));
		assert_int_equal(stats(class).objects, 1);
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			memset(percpu_ptr(a, cpu), 0xab, size);
		if (size < 10000)
			b = percpu_alloc(size, align, class);
		if (b)
			check_fresh(b, size, align, class);
		percpu_free(a);
		percpu_free(b);
		check_all_returned(state);
	}
}

/* Exhaustion is NULL and a count, of one half; the other neither fails nor notices. */
static void test_exhaustion(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++) {
		enum mem_class class = classes[i], other = classes[!i];
		uint64_t failures = stats(class).failures;
		struct percpu_stats before = stats(other), after;
		uint8_t *all = percpu_alloc(PERCPU_DYN_SIZE, 1, class), *o;

		assert_non_null(all);
		assert_null(percpu_alloc(1, 1, class));
		assert_null(percpu_alloc(PERCPU_DYN_SIZE, PERCPU_ALIGN_MAX, class));
		assert_int_equal(stats(class).failures, failures + 2);
		after = stats(other);
		assert_memory_equal(&before, &after, sizeof(before));
		o = percpu_alloc(PERCPU_DYN_SIZE, PERCPU_ALIGN_MAX, other);
		assert_non_null(o);
		percpu_free(o);
		percpu_free(all);
		assert_int_equal(stats(class).max_used, PERCPU_DYN_SIZE);
	}
}

/* Whichever of three neighbours is freed in which order, what is free is one piece at the end. */
static void test_merge(void **state)
{
	static const unsigned int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		uint8_t *p[3], *all;

		for (unsigned int j = 0; j < 3; j++)
			p[j] = percpu_alloc(PERCPU_DYN_SIZE / 4, 1, GLOBAL);
		assert_null(percpu_alloc(PERCPU_DYN_SIZE / 4 + 1, 1, GLOBAL));
		for (unsigned int j = 0; j < 3; j++)
			percpu_free(p[orders[i][j]]);
		all = percpu_alloc(PERCPU_DYN_SIZE, 1, GLOBAL);
		assert_non_null(all);
		percpu_free(all);
	}
}

/* A copy for each CPU. */
static void test_copies(void **state)
{
	uint64_t *p = percpu_alloc(sizeof(*p), 8, GLOBAL);

	(void)state;
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		cpu_number = cpu;
		assert_ptr_equal(percpu_this(p), percpu_ptr(p, cpu));
		*percpu_this(p) = cpu + 1;
	}
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(*percpu_ptr(p, cpu), cpu + 1);
	cpu_number = 0;
	percpu_free(p);
}

/* What no area ever has room for, empty as it may be, is a bug and no lack of memory: it names its caller. */
static void test_impossible(void **state)
{
	static const struct {
		size_t size, align;
		enum mem_class class;
		const char *named;
	} bad[] = {
		{ 0, 8, GLOBAL, "of 0 bytes, align 8, class 1, called from 0x" },
		{ PERCPU_DYN_SIZE + 1, 1, SENSITIVE, "of 32769 bytes, align 1, class 0" },
		{ ~0UL, 1, GLOBAL, "of 18446744073709551615 bytes" },
		{ 8, 0, GLOBAL, "align 0" },
		{ 8, 24, SENSITIVE, "align 24" },
		{ 8, 2 * PERCPU_ALIGN_MAX, GLOBAL, "align 8192" },
		{ 7, 8, LOCAL, "class 2" },
		{ 7, 8, MEM_CLASS_NR, "class 3" },
	};
	static unsigned int i; /* where longjmp() does not lose it */

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct percpu_stats before = stats(bad[i].class), after;

		fake_panic_text[0] = '\0';
		expect_assert_failure(percpu_alloc(bad[i].size, bad[i].align, bad[i].class));
		assert_non_null(strstr(fake_panic_text, bad[i].named));
		assert_true(panic_names(test_impossible));
		after = stats(bad[i].class);
		assert_memory_equal(&before, &after, sizeof(before));
	}
}

static void test_misuse(void **state)
{
	char *a = percpu_alloc(40, 8, GLOBAL), *b = percpu_alloc(40, 8, SENSITIVE);
	struct percpu_stats before = stats(GLOBAL), after;

	percpu_free(NULL);
	expect_assert_failure(percpu_free(a + 1));
	assert_non_null(strstr(fake_panic_text, "no handle"));
	expect_assert_failure(percpu_free(a + PERCPU_UNIT));
	assert_non_null(strstr(fake_panic_text, "inside an object"));
	expect_assert_failure(percpu_free(a + 3 * PERCPU_UNIT));
	assert_non_null(strstr(fake_panic_text, "free already"));
	expect_assert_failure(percpu_free(percpu_ptr(a, 0)));  /* an address is no handle */
	expect_assert_failure(percpu_free(a + PERCPU_STRIDE)); /* nor is another CPU's */
	expect_assert_failure(percpu_free(a + PERCPU_DYN_SIZE));
	expect_assert_failure(percpu_free(state));
	after = stats(GLOBAL);
	assert_memory_equal(&before, &after, sizeof(before));
	percpu_free(a);
	percpu_free(b);
	expect_assert_failure(percpu_free(a));
	expect_assert_failure(percpu_free(b));
	assert_non_null(strstr(fake_panic_text, "percpu_free of 0x"));
	assert_true(panic_names(test_misuse));
}

#define LIVE  150
#define STEPS 20000

static uint8_t owner_of[2][PERCPU_DYN_SIZE]; /* + 1; 0: free */

static struct {
	uint8_t *handle;
	size_t size;
} live[LIVE];

static void set_owner(unsigned int half, uint64_t offset, size_t size, uint8_t from, uint8_t to)
{
	for (uint64_t i = offset; i < offset + ALIGN_UP(size, PERCPU_UNIT); i++) {
		assert_int_equal(owner_of[half][i], from);
		owner_of[half][i] = to;
	}
}

/* Whether an object fits anywhere, by the model. */
static bool fits(unsigned int half, size_t size, size_t align)
{
	for (uint64_t at = 0; at + size <= PERCPU_DYN_SIZE; at += MAX(align, PERCPU_UNIT)) {
		uint64_t i = at;

		while (i < at + size && !owner_of[half][i])
			i++;
		if (i >= at + size)
			return true;
	}
	return false;
}

static void test_random_walk(void **state)
{
	(void)state;
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int i = (unsigned int)seed_below(LIVE), half = i % 2;
		enum mem_class class = half ? SENSITIVE : GLOBAL;
		size_t size = 1 + seed_below(seed_below(8) ? 300 : 3000),
		       align = 1UL << seed_below(9);

		if (live[i].handle) {
			for (uint32_t cpu = 0; cpu < CPUS; cpu++)
				for (size_t b = 0; b < live[i].size; b++)
					assert_int_equal(percpu_ptr(live[i].handle, cpu)[b],
							 i + cpu);
			percpu_free(live[i].handle);
			set_owner(half, offset_of(live[i].handle, class), live[i].size,
				  (uint8_t)(i + 1), 0);
			live[i].handle = NULL;
			continue;
		}
		live[i].handle = percpu_alloc(size, align, class);
		assert_int_equal(live[i].handle != NULL, fits(half, size, align));
		if (!live[i].handle)
			continue;
		live[i].size = size;
		check_fresh(live[i].handle, size, align, class);
		set_owner(half, offset_of(live[i].handle, class), size, 0, (uint8_t)(i + 1));
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			memset(percpu_ptr(live[i].handle, cpu), (int)(i + cpu), size);
	}
	for (unsigned int i = 0; i < LIVE; i++)
		percpu_free(live[i].handle);
	/* Nothing around the dynamic parts was written. */
	for (unsigned int i = 0; i < 2 * CPUS; i++) {
		const uint8_t *area = fake_percpu[i / CPUS][i % CPUS];

		assert_int_equal(area[PERCPU_DYN_OFFSET - 1], 0xee);
		assert_int_equal(area[PERCPU_DYN_OFFSET + PERCPU_DYN_SIZE], 0xee);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_sizes, check_all_returned),
		cmocka_unit_test_teardown(test_exhaustion, check_all_returned),
		cmocka_unit_test_teardown(test_merge, check_all_returned),
		cmocka_unit_test_teardown(test_copies, check_all_returned),
		cmocka_unit_test_teardown(test_impossible, check_all_returned),
		cmocka_unit_test_teardown(test_misuse, check_all_returned),
		cmocka_unit_test_teardown(test_random_walk, check_all_returned),
	};

	seed_start(0x9e4c);
	return cmocka_run_group_tests(tests, setup, NULL);
}
