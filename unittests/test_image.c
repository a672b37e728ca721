/* SPDX-License-Identifier: MIT */
/*
 * Guest images: every kind and every refusal as patches of three good images,
 * places in guest RAM, the boot information read back, and mutated images under
 * the sanitizers. SEED=n repeats a run.
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
#include "unittests/seed.h"
#include "vmm/multiboot.h"

#define MUTANTS 300000

#define FILE_LEN    0x400
#define ELF_HEADER  0x180 /* the Multiboot header in the two ELF images */
#define ADDR_HEADER 0x40  /* and in the one with load addresses */
#define HIGH_HALF   0xffffffff80000000

enum base { ELF32, ELF64, ADDRESSES, BASES };

struct patch {
	uint32_t at;
	uint8_t size; /* bytes; 0: no patch */
	uint64_t value;
};

static void put(uint8_t *file, uint64_t at, unsigned int size, uint64_t value)
{
	memcpy(file + at, &value, size);
}

static void fix_checksum(uint8_t *file, uint64_t header)
{
	uint32_t magic, flags;

	memcpy(&magic, file + header, 4);
	memcpy(&flags, file + header + 4, 4);
	put(file, header + 8, 4, -(magic + flags));
}

static void put_multiboot(uint8_t *file, uint64_t header, uint32_t flags)
{
	put(file, header, 4, 0x1badb002);
	put(file, header + 4, 4, flags);
	fix_checksum(file, header);
}

/* Offsets of program header fields: type, offset, vaddr, paddr, filesz, memsz. */
static const uint8_t ph_fields[2][6] = { { 0, 4, 8, 12, 16, 20 }, { 0, 8, 16, 24, 32, 40 } };

#define PH_START	  0x40
#define PH(elf, n, field) (PH_START + (n) * ((elf) == ELF64 ? 56 : 32) + ph_fields[elf][field])
enum { TYPE, OFFSET, VADDR, PADDR, FILESZ, MEMSZ };

/* Two segments, 0x100000 and 0x200000 with a bss, and a note between them. */
static void make_elf(uint8_t *file, enum base elf)
{
	static const uint64_t segs[3][6] = {
		{ 1, 0, 0x100000, 0x100000, 0x200, 0x200 },
		{ 4, ~0U, ~0U, ~0U, ~0U, ~0U },
		{ 1, 0x200, 0x200000, 0x200000, 0x200, 0x3000 },
	};
	unsigned int word = elf == ELF64 ? 8 : 4;
	uint64_t high = elf == ELF64 ? HIGH_HALF : 0;

	put(file, 0, 4, 0x464c457f);
	put(file, 4, 4, elf == ELF64 ? 0x010102 : 0x010101);
	put(file, 16, 4, elf == ELF64 ? 62 << 16 | 2 : 3 << 16 | 2);
	put(file, 24, word, 0x100120 + high);
	put(file, elf == ELF64 ? 32 : 28, word, PH_START);
	put(file, elf == ELF64 ? 54 : 42, 2, elf == ELF64 ? 56 : 32);
	put(file, elf == ELF64 ? 56 : 44, 2, 3);
	for (unsigned int n = 0; n < 3; n++)
		for (unsigned int f = 0; f < 6; f++)
			put(file, PH(elf, n, f), f == TYPE ? 4 : word,
			    segs[n][f] + (f == VADDR ? high : 0));
	put_multiboot(file, ELF_HEADER, 3);
}

static void make_addresses(uint8_t *file)
{
	static const uint32_t fields[] = { 0x100040, 0x100000, 0x100200, 0x104000, 0x100060 };

	put_multiboot(file, ADDR_HEADER, BIT(16) | 3);
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++)
		put(file, ADDR_HEADER + 12 + 4 * i, 4, fields[i]);
}

static uint64_t make(uint8_t *file, enum base base)
{
	memset(file, 0, FILE_LEN);
	if (base == ADDRESSES)
		make_addresses(file);
	else
		make_elf(file, base);
	return base == ADDRESSES ? ADDR_HEADER : ELF_HEADER;
}

/* Parses a copy in a buffer of exactly @len bytes. */
static int parse_copy(const uint8_t *file, size_t len, struct image_plan *plan, char *why)
{
	uint8_t *copy = malloc(len);
	int err;

	memcpy(copy, file, len);
	err = image_parse(copy, len, plan, why, IMAGE_WHY_SIZE);
	free(copy);
	return err;
}

static const struct {
	enum base base;
	struct patch patch[3];
	uint32_t len; /* 0: the whole file */
	int err;
	const char *why; /* part of the explanation */
	uint32_t entry;	 /* if there is no error */
} cases[] = {
	{ ELF32, { { 0 } }, 0, 0, NULL, 0x100120 },
	{ ELF64, { { 0 } }, 0, 0, NULL, 0x100120 },
	{ ADDRESSES, { { 0 } }, 0, 0, NULL, 0x100060 },
	/* a physical entry with virtual segments; one in the second segment's bss */
	{ ELF64, { { 24, 8, 0x100130 } }, 0, 0, NULL, 0x100130 },
	{ ELF32, { { 24, 4, 0x202fff } }, 0, 0, NULL, 0x202fff },
	/* x86-64 code in an ELF32; no load of the empty segment; a wish for a video mode */
	{ ELF32, { { 18, 2, 62 } }, 0, 0, NULL, 0x100120 },
	{ ELF64,
	  { { PH(ELF64, 2, FILESZ), 8, 0 }, { PH(ELF64, 2, OFFSET), 8, ~0ULL } },
	  0,
	  0,
	  NULL,
	  0x100120 },
	{ ELF32, { { ELF_HEADER + 4, 4, 7 } }, 0, 0, NULL, 0x100120 },
	/* optional features that nobody knows are none of ours */
	{ ELF32, { { ELF_HEADER + 4, 4, 0xfffe0000 } }, 0, 0, NULL, 0x100120 },
	/* the first magic number is data with a wrong checksum */
	{ ELF32, { { ELF_HEADER - 16, 4, 0x1badb002 } }, 0, 0, NULL, 0x100120 },

	{ ELF32, { { ELF_HEADER, 4, 0x1badb003 } }, 0, -ENOEXEC, "no known image format", 0 },
	{ ELF32, { { 0 } }, ELF_HEADER + 8, -ENOEXEC, "no known image format", 0 },
	{ ELF32, { { 0 } }, 1, -ENOEXEC, "no known image format", 0 },
	{ ELF32, { { 0, 1, 0x7e } }, 0, -ENOEXEC, "no ELF", 0 },
	{ ELF32, { { ELF_HEADER + 4, 4, 0x100b } }, 0, -EINVAL, "unknown features 0x1008", 0 },
	{ ELF32, { { 4, 1, 0 } }, 0, -EINVAL, "ELF class 0", 0 },
	{ ELF32, { { 4, 1, 3 } }, 0, -EINVAL, "ELF class 3", 0 },
	{ ELF32, { { 5, 1, 2 } }, 0, -EINVAL, "little-endian", 0 },
	{ ELF64, { { 6, 1, 0 } }, 0, -EINVAL, "version 1", 0 },
	{ ELF64, { { 16, 2, 3 } }, 0, -EINVAL, "type 3", 0 },
	{ ELF64, { { 18, 2, 183 } }, 0, -EINVAL, "machine 183", 0 },
	{ ELF64, { { 54, 2, 57 } }, 0, -EINVAL, "57 bytes, not 56", 0 },
	{ ELF64, { { 32, 8, FILE_LEN - 167 } }, 0, -EINVAL, "3 program headers", 0 },
	{ ELF64, { { 32, 8, -167ULL } }, 0, -EINVAL, "program headers at 0xffff", 0 },
	{ ELF64, { { 56, 2, 0xffff } }, 0, -EINVAL, "65535 program headers", 0 },
	{ ELF32, { { 44, 2, 0 } }, 0, -EINVAL, "without a segment", 0 },
	{ ELF32,
	  { { PH(ELF32, 0, TYPE), 4, 0 }, { PH(ELF32, 2, TYPE), 4, 0 } },
	  0,
	  -EINVAL,
	  "without a segment",
	  0 },
	{ ELF32,
	  { { PH(ELF32, 2, MEMSZ), 4, 0x1ff } },
	  0,
	  -EINVAL,
	  "segment 1 has 0x200 bytes in the file, 0x1ff in RAM",
	  0 },
	{ ELF32,
	  { { 0 } },
	  FILE_LEN - 1,
	  -EINVAL,
	  "truncated ELF: segment 1 has 0x200 bytes at 0x200, file ends at 0x3ff",
	  0 },
	{ ELF64, { { PH(ELF64, 2, OFFSET), 8, -0x100ULL } }, 0, -EINVAL, "truncated ELF", 0 },
	{ ELF64,
	  { { PH(ELF64, 2, FILESZ), 8, -0x100ULL }, { PH(ELF64, 2, MEMSZ), 8, -0x100ULL } },
	  0,
	  -EINVAL,
	  "truncated ELF",
	  0 },
	{ ELF64, { { PH(ELF64, 2, PADDR), 8, HIGH_HALF } }, 0, -EINVAL, "below 4 GiB", 0 },
	{ ELF64, { { PH(ELF64, 2, MEMSZ), 8, -0x200000ULL } }, 0, -EINVAL, "below 4 GiB", 0 },
	{ ELF32, { { PH(ELF32, 2, PADDR), 4, 0x1001ff } }, 0, -EINVAL, "overlaps segment 0", 0 },
	{ ELF32, { { 24, 4, 0x100200 } }, 0, -EINVAL, "entry 0x100200 lies in no segment", 0 },
	{ ELF64, { { 24, 8, HIGH_HALF } }, 0, -EINVAL, "lies in no segment", 0 },

	/* load_end_addr 0: the whole file; bss_end_addr 0: no bss */
	{ ADDRESSES, { { ADDR_HEADER + 20, 4, 0 } }, 0, 0, NULL, 0x100060 },
	{ ADDRESSES, { { ADDR_HEADER + 24, 4, 0 } }, 0, 0, NULL, 0x100060 },
	{ ADDRESSES, { { 0 } }, ADDR_HEADER + 31, -EINVAL, "truncated Multiboot header", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 12, 4, 0xfffff } }, 0, -EINVAL, "load_addr", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 12, 4, 0x100041 } }, 0, -EINVAL, "load_addr", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 20, 4, 0x100000 } }, 0, -EINVAL, "load_end_addr", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 20, 4, 0x100401 } }, 0, -EINVAL, "truncated image", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 24, 4, 0x1001ff } }, 0, -EINVAL, "bss_end_addr", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 28, 4, 0xfffff } }, 0, -EINVAL, "entry_addr", 0 },
	{ ADDRESSES, { { ADDR_HEADER + 28, 4, 0x104000 } }, 0, -EINVAL, "entry_addr", 0 },
	{ ADDRESSES,
	  { { ADDR_HEADER + 12, 4, 0xffffff40 },
	    { ADDR_HEADER + 16, 8, 0xffffff00 },
	    { ADDR_HEADER + 24, 8, 0xffffff6000000000 } },
	  0,
	  -EINVAL,
	  "below 4 GiB",
	  0 },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t file[FILE_LEN];
		uint64_t header = make(file, cases[i].base);
		char why[IMAGE_WHY_SIZE] = "";
		struct image_plan plan;
		int err;

		for (size_t p = 0; p < ARRAY_SIZE(cases[i].patch); p++)
			put(file, cases[i].patch[p].at, cases[i].patch[p].size,
			    cases[i].patch[p].value);
		fix_checksum(file, header);
		err = parse_copy(file, cases[i].len ? cases[i].len : FILE_LEN, &plan, why);
		if (err != cases[i].err || (err && !strstr(why, cases[i].why)) ||
		    (!err && plan.entry != cases[i].entry))
			fail_msg("case %zu: %d, \"%s\", entry 0x%x", i, err, why, plan.entry);
	}
}

static void test_plan(void **state)
{
	uint8_t file[FILE_LEN];
	char why[IMAGE_WHY_SIZE];
	struct image_plan p;

	(void)state;
	for (enum base b = ELF32; b <= ELF64; b++) {
		make(file, b);
		assert_int_equal(parse_copy(file, FILE_LEN, &p, why), 0);
		assert_int_equal(p.nr_segs, 2);
		assert_true(p.seg[0].gpa.v == 0x100000 && p.seg[0].offset == 0);
		assert_true(p.seg[0].filesz == 0x200 && p.seg[0].memsz == 0x200);
		assert_true(p.seg[1].gpa.v == 0x200000 && p.seg[1].offset == 0x200);
		assert_true(p.seg[1].filesz == 0x200 && p.seg[1].memsz == 0x3000);
	}
	/* the load address need not be the file's first byte */
	make(file, ADDRESSES);
	put(file, ADDR_HEADER + 16, 4, 0x100010);
	assert_int_equal(parse_copy(file, FILE_LEN, &p, why), 0);
	assert_int_equal(p.nr_segs, 1);
	assert_true(p.seg[0].gpa.v == 0x100010 && p.seg[0].offset == 0x10);
	assert_true(p.seg[0].filesz == 0x1f0 && p.seg[0].memsz == 0x3ff0);
	/* load addresses win over an ELF header */
	make(file, ELF32);
	memset(file + ADDR_HEADER, 0, 0x3c0);
	make_addresses(file);
	assert_int_equal(parse_copy(file, FILE_LEN, &p, why), 0);
	assert_int_equal(p.nr_segs, 1);
}

static void test_header_where(void **state)
{
	static uint8_t file[16384];
	char why[IMAGE_WHY_SIZE];
	struct image_plan p;

	(void)state;
	put_multiboot(file, 8192 - 12, 0);
	assert_int_equal(image_parse(file, sizeof(file), &p, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "no ELF"));
	memset(file, 0, sizeof(file));
	put_multiboot(file, 8192 - 8, 0);
	assert_int_equal(image_parse(file, sizeof(file), &p, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "no known image format"));
	put_multiboot(file, 62, 0); /* not aligned */
	assert_int_equal(image_parse(file, sizeof(file), &p, why, sizeof(why)), -ENOEXEC);
	put_multiboot(file, 64, 0);
	put(file, 72, 4, 5);
	assert_int_equal(image_parse(file, sizeof(file), &p, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "header at 0x40: wrong checksum"));
	put_multiboot(file, 8192 - 28, BIT(16)); /* its address fields do not fit */
	assert_int_equal(image_parse(file, sizeof(file), &p, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "truncated Multiboot header"));
}

static void test_too_many_segments(void **state)
{
	uint8_t file[0x800] = { 0 };
	char why[IMAGE_WHY_SIZE];
	struct image_plan p;

	(void)state;
	make_elf(file, ELF32);
	memset(file + ELF_HEADER, 0, 12);
	put(file, 28, 4, 0x100); /* program headers */
	put_multiboot(file, 0x80, 3);
	for (unsigned int n = 0; n < 17; n++) {
		put(file, 0x100 + 32 * n, 4, 1);
		for (unsigned int f = VADDR; f <= PADDR; f++)
			put(file, 0x100 + 32 * n + ph_fields[ELF32][f], 4, 0x100000 + 0x1000 * n);
		put(file, 0x100 + 32 * n + ph_fields[ELF32][MEMSZ], 4, 0x1000);
	}
	put(file, 44, 2, 16);
	assert_int_equal(parse_copy(file, sizeof(file), &p, why), 0);
	assert_int_equal(p.nr_segs, 16);
	put(file, 44, 2, 17);
	assert_int_equal(parse_copy(file, sizeof(file), &p, why), -EINVAL);
	assert_non_null(strstr(why, "more than 16 segments"));
}

/* ---- mutated images ---- */

static void mutate(uint8_t *file, enum base base, uint64_t header)
{
	static const uint32_t nice[] = { 0,	     1,		2,	  16,	      0x20,
					 0x1ff,	     0x200,	0x201,	  FILE_LEN,   FILE_LEN + 1,
					 0x100000,   0x1000ff,	0x200000, 0x7fffffff, 0x80000000,
					 0xffffff00, 0xffffffff };

	for (unsigned int n = 1 + seed_below(6); n > 0; n--) {
		/* the headers, their first 256 bytes mostly */
		uint32_t at = (uint32_t)seed_below(seed_below(4) ? 0x100 : FILE_LEN - 8);

		switch (seed_below(4)) {
		case 0:
			file[at] ^= (uint8_t)(1U << seed_below(8));
			break;
		case 1:
			file[at] = (uint8_t)seed_below(256);
			break;
		case 2:
			put(file, at & ~3U, 4, nice[seed_below(ARRAY_SIZE(nice))]);
			break;
		default: /* a field of a program header, or an address of the header */
			if (base == ADDRESSES)
				at = ADDR_HEADER + 12 + 4 * seed_below(5);
			else
				at = PH(base, seed_below(3), seed_below(6));
			put(file, at, base == ELF64 ? 8 : 4,
			    seed_below(2) ? nice[seed_below(ARRAY_SIZE(nice))]
					  : -(uint64_t)seed_below(0x1000));
		}
	}
	if (seed_below(8))
		fix_checksum(file, header);
}

/* A plan that was accepted can be carried out. */
static void check_plan(const struct image_plan *p, size_t len)
{
	bool entry_found = false;

	assert_in_range(p->nr_segs, 1, IMAGE_SEGMENTS_MAX);
	for (uint32_t i = 0; i < p->nr_segs; i++) {
		const struct image_segment *s = &p->seg[i];

		assert_true(s->memsz > 0 && s->filesz <= s->memsz);
		assert_true(s->filesz <= len && s->offset <= len - s->filesz);
		assert_true(s->memsz <= GiB(4) && s->gpa.v <= GiB(4) - s->memsz);
		for (uint32_t j = 0; j < i; j++)
			assert_false(ranges_overlap(s->gpa.v, s->memsz, p->seg[j].gpa.v,
						    p->seg[j].memsz));
		entry_found |= p->entry >= s->gpa.v && p->entry - s->gpa.v < s->memsz;
	}
	assert_true(entry_found);
}

/* Whatever was placed overlaps nothing and can be built. */
static void check_places(const struct image_plan *p, char *why)
{
	const struct guest_ram ram[] = { { GPA(0), KiB(640) }, { GPA(MiB(1)), MiB(31) } };
	struct guest_module mods[] = { { GPA(0), seed_below(MiB(1)), "one" },
				       { GPA(0), seed_below(MiB(30)), "two" } };
	struct guest_boot boot = { "guest", "arg", ram, 2, mods, seed_below(3) };
	size_t len = mbi_size(&boot);
	uint8_t *buf;
	gpa_t info;

	if (image_place(p, &boot, &info, why, IMAGE_WHY_SIZE)) {
		assert_in_range(strlen(why), 1, IMAGE_WHY_SIZE - 1);
		return;
	}
	for (uint32_t i = 0; i < p->nr_segs; i++) {
		assert_false(ranges_overlap(info.v, len, p->seg[i].gpa.v, p->seg[i].memsz));
		for (uint32_t m = 0; m < boot.nr_modules; m++)
			assert_true(mods[m].start.v >= p->seg[i].gpa.v + p->seg[i].memsz);
	}
	buf = malloc(len);
	assert_int_equal(mbi_build(&boot, info, buf, len, &len), 0);
	free(buf);
}

static void test_mutants(void **state)
{
	unsigned int accepted = 0;

	(void)state;
	for (unsigned int n = 0; n < MUTANTS; n++) {
		uint8_t file[FILE_LEN];
		enum base base = n % BASES;
		size_t len = seed_below(8) ? FILE_LEN : seed_below(FILE_LEN + 1);
		char why[IMAGE_WHY_SIZE] = "";
		struct image_plan plan;
		int err;

		mutate(file, base, make(file, base));
		err = parse_copy(file, len, &plan, why);
		if (err) {
			assert_true(err == -EINVAL || err == -ENOEXEC);
			assert_in_range(strlen(why), 1, IMAGE_WHY_SIZE - 1);
			continue;
		}
		accepted++;
		check_plan(&plan, len);
		check_places(&plan, why);
	}
	printf("%u of %u mutants accepted\n", accepted, MUTANTS);
	assert_in_range(accepted, MUTANTS / 100, MUTANTS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	     cmocka_unit_test(test_plan),
		cmocka_unit_test(test_header_where), cmocka_unit_test(test_too_many_segments),
		cmocka_unit_test(test_mutants),
	};

	seed_start(20240229);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
