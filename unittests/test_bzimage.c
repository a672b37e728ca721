/* SPDX-License-Identifier: MIT */
/*
 * Linux kernels: refusals as patches of one good image, places in guest RAM, boot_params read back, and mutated images
 * under the sanitizers. SEED=n repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "lib/errno.h"
#include "unittests/seed.h"
#include "vmm/bzimage.h"
#include "vmm/multiboot.h"

#define MUTANTS	   300000
#define SECTS	   2
#define KERNEL	   ((SECTS + 1) * 512)
#define KERNEL_LEN 0x800
#define TRAILER	   100 /* as a signature behind it */
#define FILE_LEN   (KERNEL + KERNEL_LEN + TRAILER)
#define START	   MiB(16)
#define INIT_SIZE  MiB(40)
#define HEADER_END 0x268
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

struct patch {
	uint32_t at;
	uint8_t size; /* bytes; 0: no patch */
	uint64_t value;
};

static const struct patch good[] = {
	{ 0x1f1, 1, SECTS },	  { 0x1f4, 4, KERNEL_LEN / 16 },
	{ 0x1fe, 2, 0xaa55 },	  { 0x201, 1, HEADER_END - 0x202 },
	{ 0x202, 4, 0x53726448 }, { 0x206, 2, 0x020f },
	{ 0x211, 1, 1 },	  { 0x22c, 4, 0x7fffffff },
	{ 0x238, 4, 2047 },	  { 0x258, 8, START },
	{ 0x260, 4, INIT_SIZE },
};

static void put(uint8_t *file, const struct patch *p)
{
	memcpy(file + p->at, &p->value, p->size);
}

static void make(uint8_t *file)
{
	for (size_t i = 0; i < FILE_LEN; i++)
		file[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < COUNT(good); i++)
		put(file, &good[i]);
}

/* Parses a copy in a buffer of exactly @len bytes. */
static int parse_copy(const uint8_t *file, size_t len, struct bzimage_plan *plan, char *why)
{
	uint8_t *copy = malloc(len);
	int err;

	memcpy(copy, file, len);
	err = bzimage_parse(copy, len, plan, why, IMAGE_WHY_SIZE);
	free(copy);
	return err;
}

static const struct {
	struct patch patch[2];
	uint32_t len;	 /* 0: the whole file */
	const char *why; /* part of the explanation; NULL: it is good */
} cases[] = {
	{ { { 0 } }, 0, NULL },
	/* the file ends with the kernel; in its last paragraph, which the size is rounded up to */
	{ { { 0 } }, KERNEL + KERNEL_LEN, NULL },
	{ { { 0 } }, KERNEL + KERNEL_LEN - 15, NULL },
	{ { { 0x206, 2, 0x020a } }, 0, NULL },
	{ { { 0x201, 1, 0x264 - 0x202 } }, 0, NULL },
	{ { { 0x201, 1, 0x290 - 0x202 } }, 0, NULL },
	/* an initrd anywhere; a kernel that needs no more than itself; the last that fits */
	{ { { 0x22c, 4, 0xffffffff } }, 0, NULL },
	{ { { 0x260, 4, 0 } }, 0, NULL },
	{ { { 0x258, 8, GiB(4) - INIT_SIZE } }, 0, NULL },

	{ { { 0 } }, 0x28f, "truncated bzImage header" },
	{ { { 0 } }, 0x208, "truncated bzImage header" },
	{ { { 0x206, 2, 0x0209 } }, 0, "boot protocol 2.09 is older than 2.10" },
	{ { { 0x206, 2, 0 } }, 0, "boot protocol 0.00" },
	{ { { 0x211, 1, 0xfe } }, 0, "zImage" },
	{ { { 0x201, 1, 0x263 - 0x202 } }, 0, "a setup header that ends at 0x263" },
	{ { { 0x201, 1, 0x291 - 0x202 } }, 0, "a setup header that ends at 0x291" },
	{ { { 0x1f1, 1, 255 } }, 0, "the kernel begins at 0x20000" },
	{ { { 0x1f1, 1, 0 } }, 4 * 512, "the kernel begins at 0xa00" },
	{ { { 0 } }, KERNEL, "the kernel begins at 0x600, the file ends at 0x600" },
	{ { { 0 } }, KERNEL + KERNEL_LEN - 16, "0x800 bytes of kernel at 0x600" },
	{ { { 0x1f4, 4, 0 } }, 0, "0x0 bytes of kernel" },
	{ { { 0x1f4, 4, 0xffffffff } }, 0, "0xffffffff0 bytes of kernel" },
	{ { { 0x258, 8, MiB(1) - 1 } }, 0, "not between 1 MiB and 4 GiB" },
	{ { { 0x258, 8, GiB(4) } }, 0, "not between 1 MiB and 4 GiB" },
	{ { { 0x258, 8, ~0ULL } }, 0, "not between 1 MiB and 4 GiB" },
	{ { { 0x258, 8, GiB(4) - INIT_SIZE + 1 } }, 0, "not between 1 MiB and 4 GiB" },
	{ { { 0x260, 4, 0xffffffff } }, 0, "not between 1 MiB and 4 GiB" },
};

static void test_cases(void **state)
{
	static uint8_t file[FILE_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char why[IMAGE_WHY_SIZE] = "";
		struct bzimage_plan plan;
		int err;

		make(file);
		put(file, &cases[i].patch[0]);
		put(file, &cases[i].patch[1]);
		assert_true(bzimage_is(file, FILE_LEN));
		err = parse_copy(file, cases[i].len ? cases[i].len : FILE_LEN, &plan, why);
		if (!err != !cases[i].why || (err && !strstr(why, cases[i].why)))
			fail_msg("case %zu: %d, %s", i, err, why);
		if (err)
			assert_int_equal(err, -EINVAL);
	}
}

static void test_plan(void **state)
{
	static uint8_t file[FILE_LEN];
	struct bzimage_plan plan;
	char why[IMAGE_WHY_SIZE];

	(void)state;
	make(file);
	assert_int_equal(parse_copy(file, FILE_LEN, &plan, why), 0);
	assert_int_equal(plan.start.v, START);
	assert_int_equal(plan.offset, KERNEL);
	assert_int_equal(plan.len, KERNEL_LEN);
	assert_int_equal(plan.needs, INIT_SIZE);
	assert_int_equal(plan.initrd_limit, 0x80000000);
	assert_int_equal(plan.cmdline_max, 2047);
	assert_int_equal(plan.header_len, HEADER_END - 0x1f1);
	/* setup_sects 0 stands for 4 */
	file[0x1f1] = 0;
	file[0x1f4] = (FILE_LEN - 5 * 512) / 16;
	assert_int_equal(parse_copy(file, FILE_LEN, &plan, why), 0);
	assert_int_equal(plan.offset, 5 * 512);
}

static void test_is(void **state)
{
	static uint8_t file[FILE_LEN];

	(void)state;
	make(file);
	assert_true(bzimage_is(file, 0x208));
	for (size_t len = 0; len < 0x208; len++)
		assert_false(bzimage_is(file, len));
	file[0x202]++;
	assert_false(bzimage_is(file, FILE_LEN));
	file[0x202]--;
	file[0x1ff] = 0;
	assert_false(bzimage_is(file, FILE_LEN));
}

/* A plan of @needs bytes at @start, and an initrd, in @mib of RAM: where it goes, or what is said. */
static const struct {
	uint64_t start, needs, initrd, limit, mib, at;
	const char *why;
} places[] = {
	{ START, MiB(40), 0, GiB(4), 56, 0, NULL },
	{ START, MiB(40), 0, GiB(4), 55, 0,
	  "0x1000000-0x37fffff, behind the guest's memory: it needs 56 MiB" },
	/* as high as it may be: at the end of RAM, below the limit, below 4 GiB */
	{ START, MiB(40), 0x1001, GiB(4), 64, MiB(64) - 0x2000, NULL },
	{ START, MiB(40), 0x1000, MiB(60), 64, MiB(60) - 0x1000, NULL },
	{ START, MiB(40), 0x1000, GiB(8), 8192, GiB(4) - 0x1000, NULL },
	{ START, MiB(40), MiB(8), GiB(4), 64, MiB(56), NULL },
	/* no room behind the kernel, but before it */
	{ START, MiB(40), MiB(8) + 1, GiB(4), 64, MiB(8) - 0x1000, NULL },
	{ START, MiB(40), MiB(15), GiB(4), 56, MiB(1), NULL },
	{ START, MiB(40), MiB(15) + 1, GiB(4), 56, 0,
	  "no room for an initrd of 15360 KiB: the guest needs 72 MiB" },
	{ START, MiB(40), 0x1000, 0x1000, 64, 0, "no room for an initrd" },
	{ START, MiB(40), GiB(5), GiB(4), 8192, 0, "no room for an initrd" },
	{ MiB(1), 0x5000, 0x1000, GiB(4), 2, MiB(2) - 0x1000, NULL },
	{ MiB(1), 0x5000, 0x1000, GiB(4), 1, 0, "it needs 2 MiB" },
};

static void test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(places); i++) {
		struct guest_ram ram[] = { { GPA(0), KiB(640) },
					   { GPA(MiB(1)), MiB(places[i].mib) - MiB(1) } };
		struct bzimage_plan plan = { .start = GPA(places[i].start),
					     .len = 0x1000,
					     .needs = places[i].needs,
					     .initrd_limit = places[i].limit,
					     .cmdline_max = 10 };
		struct bzimage_boot boot = { ram, places[i].mib > 1 ? 2 : 1, "0123456789",
					     places[i].initrd, GPA(0) };
		char why[IMAGE_WHY_SIZE] = "";
		int err = bzimage_place(&plan, &boot, why, sizeof(why));

		if (!err != !places[i].why || (err && !strstr(why, places[i].why)))
			fail_msg("case %zu: %d, %s", i, err, why);
		if (err)
			assert_int_equal(err, -ERANGE);
		else
			assert_int_equal(boot.initrd.v, places[i].at);
	}
}

static void test_command_line(void **state)
{
	static char line[KiB(640)];
	struct guest_ram ram[] = { { GPA(0), KiB(640) }, { GPA(MiB(1)), MiB(63) } };
	struct bzimage_plan plan = {
		.start = GPA(START), .len = 1, .needs = 1, .initrd_limit = GiB(4), .cmdline_max = 9
	};
	struct bzimage_boot boot = { ram, 2, "0123456789", 0, GPA(0) };
	char why[IMAGE_WHY_SIZE];

	(void)state;
	assert_int_equal(bzimage_place(&plan, &boot, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "a command line of 10 characters: this kernel takes 9");
	/* One that a kernel would take and that does not fit below 640 KiB. */
	memset(line, 'x', sizeof(line) - 1);
	boot.cmdline = line;
	plan.cmdline_max = ~0u;
	assert_int_equal(bzimage_place(&plan, &boot, why, sizeof(why)), -ERANGE);
	line[KiB(640) - 0xa000 - 32 - 1] = '\0';
	assert_int_equal(bzimage_place(&plan, &boot, why, sizeof(why)), 0);
	assert_int_equal(0x9000 + bzimage_info_size(&boot), KiB(640));
}

static uint64_t get(const uint8_t *p, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static void check_e820(const uint8_t *params, const uint64_t (*want)[3], unsigned int nr)
{
	assert_int_equal(params[0x1e8], nr);
	for (unsigned int i = 0; i < nr; i++) {
		const uint8_t *entry = params + 0x2d0 + 20 * i;

		assert_int_equal(get(entry, 8), want[i][0]);
		assert_int_equal(get(entry + 8, 8), want[i][1]);
		assert_int_equal(get(entry + 16, 4), want[i][2]);
	}
}

static void test_info(void **state)
{
	static const uint64_t e820[][3] = { { 0, 0xa0000, 1 },
					    { 0xa0000, 0x60000, 2 },
					    { MiB(1), MiB(63), 1 } };
	struct guest_ram ram[] = { { GPA(0), KiB(640) }, { GPA(MiB(1)), MiB(63) } };
	struct bzimage_boot boot = { ram, 2, "console=ttyS0 quiet", 0x1234, GPA(MiB(63)) };
	static uint8_t file[FILE_LEN];
	struct bzimage_plan plan;
	char why[IMAGE_WHY_SIZE];
	uint8_t *info;

	(void)state;
	make(file);
	assert_int_equal(parse_copy(file, FILE_LEN, &plan, why), 0);
	info = calloc(1, bzimage_info_size(&boot));
	bzimage_build(file, &plan, &boot, info);
	/* The header as it is, but for what is the loader's. */
	assert_int_equal(info[0x210], 0xff);
	assert_int_equal(info[0x211], 1);
	assert_int_equal(get(info + 0x218, 4), MiB(63));
	assert_int_equal(get(info + 0x21c, 4), 0x1234);
	assert_int_equal(get(info + 0x250, 8), 0);
	assert_memory_equal(info + 0x1f1, file + 0x1f1, 0x210 - 0x1f1);
	assert_memory_equal(info + 0x22c, file + 0x22c, 0x250 - 0x22c);
	assert_memory_equal(info + 0x258, file + 0x258, HEADER_END - 0x258);
	check_e820(info, e820, 3);
	/* Everything else is zero, the screen too. */
	for (unsigned int i = 0; i < 0x1000; i++)
		if (i != 0x1e8 && (i < 0x1f1 || i >= HEADER_END) && (i < 0x2d0 || i >= 0x2d0 + 60))
			assert_int_equal(info[i], 0);
	assert_int_equal(get(info + 0x1000 + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(get(info + 0x1000 + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(get(info + 0x228, 4), 0x9000 + 0x1020);
	assert_string_equal((char *)info + 0x1020, "console=ttyS0 quiet");
	free(info);
	/* Without an initrd both of its fields are 0, whatever the image has there. */
	boot.initrd_len = 0;
	info = calloc(1, bzimage_info_size(&boot));
	bzimage_build(file, &plan, &boot, info);
	assert_int_equal(get(info + 0x218, 8), 0);
	free(info);
}

/* Damaged headers never lead out of the file or the block, which the sanitizers watch. */
static void test_mutants(void **state)
{
	struct guest_ram ram[] = { { GPA(0), KiB(640) }, { GPA(MiB(1)), MiB(127) } };
	static uint8_t file[FILE_LEN];
	unsigned int accepted = 0;

	(void)state;
	seed_start(0x627a);
	for (int i = 0; i < MUTANTS; i++) {
		size_t len = seed_below(8) ? FILE_LEN : 1 + seed_below(FILE_LEN);
		struct bzimage_boot boot = { ram, 2, "a b", seed_below(MiB(128)), GPA(0) };
		struct bzimage_plan plan;
		char why[IMAGE_WHY_SIZE];
		uint8_t *info;

		make(file);
		seed_damage(file + 0x1f1, 0x290 - 0x1f1);
		if (!bzimage_is(file, len) || parse_copy(file, len, &plan, why))
			continue;
		assert_true(plan.offset < len && plan.len <= len - plan.offset &&
			    plan.len <= plan.needs);
		if (bzimage_place(&plan, &boot, why, sizeof(why)))
			continue;
		accepted++;
		assert_true(plan.start.v + plan.needs <= MiB(128));
		if (boot.initrd_len)
			assert_true(boot.initrd.v >= MiB(1) &&
				    boot.initrd.v + boot.initrd_len <= MiB(128) &&
				    !ranges_overlap(boot.initrd.v, boot.initrd_len, plan.start.v,
						    plan.needs));
		info = calloc(1, bzimage_info_size(&boot));
		bzimage_build(file, &plan, &boot, info);
		free(info);
	}
	assert_true(accepted > MUTANTS / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	     cmocka_unit_test(test_plan),
		cmocka_unit_test(test_is),	     cmocka_unit_test(test_places),
		cmocka_unit_test(test_command_line), cmocka_unit_test(test_info),
		cmocka_unit_test(test_mutants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
