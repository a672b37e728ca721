/* SPDX-License-Identifier: MIT */
/*
 * Places of image, modules and boot information in guest RAM, and the boot
 * information read back as a guest would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "vmm/multiboot.h"

#define LOWER                    \
	{                        \
		GPA(0), KiB(640) \
	}

static const struct guest_ram ram_32m[] = { LOWER, { GPA(MiB(1)), MiB(31) } };
static const struct guest_ram ram_8g[] = { LOWER,
					   { GPA(MiB(1)), MiB(3071) },
					   { GPA(GiB(4)), GiB(5) } };
static const struct guest_ram ram_low[] = { LOWER };

#define MODULES_MAX 3

#define RAM(table) .ram = (table), .nr_ram = ARRAY_SIZE(table)

static const struct place_case {
	const struct guest_ram *ram;
	uint32_t nr_ram, nr_segs, nr_mods;
	uint64_t seg[2][2]; /* gpa, length */
	uint64_t mod_len[MODULES_MAX];
	const char *why; /* part of the explanation; NULL: success */
	uint64_t info, mod[MODULES_MAX];
} cases[] = {
	/* on page boundaries above the last segment, though there is room below; one is empty */
	{ RAM(ram_32m), .nr_segs = 2, .seg = { { 0x100000, 0x1001 }, { 0x800000, 0x1001 } },
	  .nr_mods = 3, .mod_len = { 1, 0x1000, 0 }, .info = 0x9000,
	  .mod = { 0x802000, 0x803000, 0x802000 } },
	/* an image in low memory moves the boot information, not the modules */
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x8000, 0x3001 } }, .nr_mods = 1, .mod_len = { 8 },
	  .info = 0xc000, .mod = { 0x100000 } },
	{ RAM(ram_32m), .nr_segs = 2, .seg = { { 0x100000, 0x1000 }, { 0x9080, 0x10 } },
	  .info = 0xa000 },
	/* low memory is full: behind the modules */
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0, KiB(640) } }, .nr_mods = 1,
	  .mod_len = { 0x1800 }, .info = 0x102000, .mod = { 0x100000 } },
	/* the last byte of RAM, and one more */
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x100000, MiB(30) } }, .nr_mods = 1,
	  .mod_len = { MiB(1) }, .info = 0x9000, .mod = { MiB(31) } },
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x100000, MiB(30) } }, .nr_mods = 1,
	  .mod_len = { MiB(1) + 1 },
	  .why = "no room for module 0 of 1024 KiB: the guest needs 33 MiB" },
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x100000, MiB(30) } }, .nr_mods = 2,
	  .mod_len = { MiB(1), 1 }, .why = "no room for module 1" },
	/* no end of a module wraps */
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x100000, 1 } }, .nr_mods = 1,
	  .mod_len = { GiB(64) }, .why = "no room for module 0" },
	{ RAM(ram_32m), .nr_segs = 2, .seg = { { 0, KiB(640) }, { 0x100000, MiB(31) } },
	  .why = "no room for the boot information: the guest needs 33 MiB" },
	{ RAM(ram_32m), .nr_segs = 2, .seg = { { 0x100000, 1 }, { MiB(32) - 1, 2 } },
	  .why = "segment 1, 0x1ffffff-0x2000000, is behind the guest's memory: it needs 33 MiB" },
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { MiB(64), 1 } }, .why = "it needs 65 MiB" },
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0x9ffff, 2 } },
	  .why = "segment 0, 0x9ffff-0xa0000, lies where the guest has no RAM" },
	{ RAM(ram_32m), .nr_segs = 1, .seg = { { 0xb8000, 1 } }, .why = "has no RAM" },
	{ RAM(ram_low), .nr_segs = 1, .seg = { { 0x1000, 1 } }, .info = 0x9000 },
	{ RAM(ram_low), .nr_segs = 1, .seg = { { 0x1000, 1 } }, .nr_mods = 1, .mod_len = { 1 },
	  .why = "no room for module 0" },
	{ .nr_segs = 1, .seg = { { 0x1000, 1 } }, .why = "no RAM" },
	/* memory above 4 GiB is of no use here */
	{ RAM(ram_8g), .nr_segs = 1, .seg = { { 0x100000, 1 } }, .nr_mods = 1,
	  .mod_len = { GiB(3) }, .why = "no room for module 0" },
	{ RAM(ram_8g), .nr_segs = 1, .seg = { { 0x100000, 1 } }, .nr_mods = 1,
	  .mod_len = { GiB(2) }, .info = 0x9000, .mod = { 0x101000 } },
	{ RAM(ram_8g), .nr_segs = 1, .seg = { { GiB(4) - 4096, 4096 } }, .why = "has no RAM" },
};

static void test_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct place_case *c = &cases[i];
		struct guest_module mods[MODULES_MAX];
		struct guest_boot boot = { "g", "", c->ram, c->nr_ram, mods, c->nr_mods };
		struct image_plan plan = { .nr_segs = c->nr_segs };
		char why[IMAGE_WHY_SIZE] = "";
		gpa_t info;
		int err;

		for (uint32_t s = 0; s < c->nr_segs; s++)
			plan.seg[s] = (struct image_segment){ .gpa = GPA(c->seg[s][0]),
							      .memsz = c->seg[s][1] };
		for (uint32_t m = 0; m < c->nr_mods; m++)
			mods[m] = (struct guest_module){ .len = c->mod_len[m], .cmdline = "" };
		err = image_place(&plan, &boot, &info, why, sizeof(why));
		if (err != (c->why ? -ERANGE : 0) || (err && !strstr(why, c->why)))
			fail_msg("case %zu: %d, \"%s\"", i, err, why);
		if (err)
			continue;
		if (info.v != c->info)
			fail_msg("case %zu: boot information at 0x%lx", i, info.v);
		for (uint32_t m = 0; m < c->nr_mods; m++)
			if (mods[m].start.v != c->mod[m])
				fail_msg("case %zu: module %u at 0x%lx", i, m, mods[m].start.v);
	}
}

/* ---- the boot information, as a guest reads it ---- */

#define AT 0x9000U

static const uint8_t *block;
static size_t block_len;

static uint32_t word(uint32_t gpa)
{
	uint32_t v;

	assert_true(gpa >= AT && gpa - AT <= block_len - 4);
	memcpy(&v, block + (gpa - AT), 4);
	return v;
}

static uint64_t long_word(uint32_t gpa)
{
	return word(gpa) | (uint64_t)word(gpa + 4) << 32;
}

static const char *string(uint32_t gpa)
{
	assert_true(gpa >= AT && gpa - AT < block_len);
	assert_non_null(memchr(block + (gpa - AT), 0, block_len - (gpa - AT)));
	return (const char *)block + (gpa - AT);
}

/* Builds into a buffer of exactly the size that mbi_size() asks for; the caller frees it. */
static uint8_t *build(const struct guest_boot *boot)
{
	size_t size = mbi_size(boot);
	uint8_t *buf = malloc(size);

	memset(buf, 0xa5, size);
	assert_int_equal(mbi_build(boot, GPA(AT), buf, size, &block_len), 0);
	assert_in_range(block_len, 1, size);
	block = buf;
	return buf;
}

static void test_mbi(void **state)
{
	static const struct {
		uint64_t addr, len;
		uint32_t type;
	} mmap[] = {
		{ 0, 0xa0000, 1 },
		{ 0xa0000, 0x60000, 2 },
		{ 0x100000, MiB(3071), 1 },
		{ GiB(4), GiB(5), 1 },
	};
	struct guest_module mods[] = { { GPA(0x200000), 0x1234, "initrd.img" },
				       { GPA(0x300000), 0, "" } };
	struct guest_boot boot = { "kernel", "console=com1 test", ram_8g, 3, mods, 2 };
	uint8_t *buf = build(&boot);
	uint32_t at;

	(void)state;
	assert_int_equal(word(AT), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(word(AT + 4), 640);
	assert_int_equal(word(AT + 8), 3071 * 1024);
	assert_string_equal(string(word(AT + 16)), "kernel console=com1 test");
	assert_string_equal(string(word(AT + 64)), "Vestibule");

	assert_int_equal(word(AT + 20), 2);
	at = word(AT + 24);
	assert_int_equal(word(at), 0x200000);
	assert_int_equal(word(at + 4), 0x201234);
	assert_string_equal(string(word(at + 8)), "initrd.img");
	assert_int_equal(word(at + 12), 0);
	assert_int_equal(word(at + 16), 0x300000);
	assert_int_equal(word(at + 20), 0x300000);
	assert_string_equal(string(word(at + 24)), "");

	/* the walk of the specification: to the next entry by size + 4 */
	at = word(AT + 48);
	for (size_t i = 0; i < ARRAY_SIZE(mmap); i++, at += word(at) + 4) {
		assert_int_equal(word(at), 20);
		assert_true(long_word(at + 4) == mmap[i].addr);
		assert_true(long_word(at + 12) == mmap[i].len);
		assert_int_equal(word(at + 20), mmap[i].type);
	}
	assert_int_equal(at, word(AT + 48) + word(AT + 44));
	free(buf);
}

static void test_mbi_small(void **state)
{
	struct guest_boot boot = { "kernel", "", ram_low, 1, NULL, 0 };
	uint8_t *buf = build(&boot);

	(void)state;
	assert_string_equal(string(word(AT + 16)), "kernel");
	assert_int_equal(word(AT + 8), 0);
	assert_int_equal(word(AT + 20), 0);
	assert_int_equal(word(AT + 44), 48); /* the hole follows the only RAM */
	assert_int_equal(word(word(AT + 48) + 24 + 20), 2);
	free(buf);
}

static void test_mbi_refuses(void **state)
{
	struct guest_module mod = { GPA(0x200000), 1, "" };
	struct guest_boot boot = { "kernel", "", ram_32m, 2, &mod, 1 };
	size_t size = mbi_size(&boot), len;
	uint8_t *buf = malloc(size - 1);

	(void)state;
	assert_int_equal(mbi_build(&boot, GPA(AT), buf, size - 1, &len), -E2BIG);
	assert_int_equal(len, size);
	free(buf);
	buf = malloc(size);
	assert_int_equal(mbi_build(&boot, GPA(GiB(4) - size), buf, size, &len), -ERANGE);
	assert_int_equal(mbi_build(&boot, GPA(GiB(4)), buf, size, &len), -ERANGE);
	mod.start = GPA(GiB(4) - 1);
	assert_int_equal(mbi_build(&boot, GPA(AT), buf, size, &len), -ERANGE);
	mod = (struct guest_module){ GPA(0x200000), ~0ULL, "" };
	assert_int_equal(mbi_build(&boot, GPA(AT), buf, size, &len), -ERANGE);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_mbi),
		cmocka_unit_test(test_mbi_small),
		cmocka_unit_test(test_mbi_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
