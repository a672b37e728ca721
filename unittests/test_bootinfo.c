/* SPDX-License-Identifier: MIT */
/* boot/bootinfo.c: structures as a loader builds them, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "boot/bootinfo.h"
#include "lib/string.h"
#include "unittests/seed.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t info[65536];
static size_t info_len;
static struct boot_info got;

static void put(const void *data, size_t len)
{
	assert_true(info_len + len <= sizeof(info));
	memcpy(info + info_len, data, len);
	info_len += len;
}

static void put32(uint32_t v)
{
	put(&v, 4);
}

static void put64(uint64_t v)
{
	put(&v, 8);
}

/* Starts a tag of @payload bytes, on an 8-byte boundary. */
static void tag(uint32_t type, size_t payload)
{
	static const uint8_t zero[8];

	put(zero, -info_len & 7);
	put32(type);
	put32((uint32_t)payload + 8);
}

static void tag_text(uint32_t type, const char *text)
{
	tag(type, strlen(text) + 1);
	put(text, strlen(text) + 1);
}

static void tag_module(uint32_t start, uint32_t end, const char *text)
{
	tag(3, 8 + strlen(text) + 1);
	put32(start);
	put32(end);
	put(text, strlen(text) + 1);
}

static void tag_memory(const uint64_t (*entries)[3], size_t n)
{
	tag(6, 8 + 24 * n);
	put32(24);
	put32(0);
	for (size_t i = 0; i < n; i++) {
		put64(entries[i][0]);
		put64(entries[i][1]);
		put64(entries[i][2]);
	}
}

static void begin(void)
{
	info_len = 0;
	put64(0);
}

static void set_total(void)
{
	memcpy(info, &info_len, 4);
}

/* Parses a copy of exactly @len bytes, so that a read beyond it is caught. */
static const char *parse(size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	const char *wrong;

	memcpy(exact, info, len);
	memset(&got, 0xee, sizeof(got));
	wrong = bootinfo_parse(exact, len, &got);
	free(exact);
	return wrong;
}

static const char *finish(void)
{
	tag(0, 0);
	set_total();
	return parse(info_len);
}

static const uint64_t memory[][3] = {
	{ 0, 0x9fc00, 1 },	    { 0x9fc00, 0x400, 2 },	{ 0x100000, 0x7ee0000, 1 },
	{ 0x7fe0000, 0x20000, 3 },  { 0xfffc0000, 0x40000, 2 }, { 0x100000000, 0x40000000, 1 },
	{ 0x150000000, 0x1000, 5 },
};

/* What GRUB hands over with two modules. */
static void build_valid(void)
{
	static const uint8_t rsdp[36] = { 'R', 'S', 'D', ' ' };

	begin();
	tag_text(1, "asi=on console=com1");
	tag_text(2, "GRUB 2.06");
	tag(10, 20); /* APM table: one that we do not read */
	put(rsdp, 20);
	tag_module(0x200000, 0x201234, "name=a -- x");
	tag_module(0x202000, 0x203000, "");
	tag_memory(memory, COUNT(memory));
	tag(15, 36);
	put(rsdp, 36);
	tag(14, 20);
	put(rsdp, 20);
	tag(0, 0);
	set_total();
}

/* All that a valid structure says arrives, RAM and the rest apart, the newer RSDP preferred. */
static void test_valid(void **state)
{
	(void)state;
	build_valid();
	assert_null(parse(info_len));
	assert_string_equal(got.cmdline, "asi=on console=com1");
	assert_string_equal(got.loader, "GRUB 2.06");
	assert_int_equal(got.nr_ram, 3);
	assert_int_equal(got.ram[1].start, 0x100000);
	assert_int_equal(got.ram[1].len, 0x7ee0000);
	assert_int_equal(got.nr_unusable, 4);
	assert_int_equal(got.unusable[3].start, 0x150000000);
	assert_int_equal(got.nr_modules, 2);
	assert_int_equal(got.modules[0].start, 0x200000);
	assert_int_equal(got.modules[0].len, 0x1234);
	assert_string_equal(got.modules[0].cmdline, "name=a -- x");
	assert_string_equal(got.modules[1].cmdline, "");
	assert_int_equal(got.rsdp_len, 36);
	assert_memory_equal(got.rsdp, "RSD ", 4);
}

/* With fewer bytes than it says it has, or with an end before its end tag, it is refused. */
static void test_truncated(void **state)
{
	size_t whole;

	(void)state;
	build_valid();
	whole = info_len;
	for (size_t len = 0; len < whole; len++) {
		assert_string_equal(parse(len), "truncated information structure");
		if (len < 8)
			continue;
		memcpy(info, &len, 4);
		assert_non_null(parse(len));
		memcpy(info, &whole, 4);
	}
	/* Bytes behind total_size do not matter. */
	put64(~0UL);
	assert_null(parse(info_len));
}

/* Modules lie in RAM to the last byte, in no unusable range, and apart; empty ones anywhere. */
static void test_modules(void **state)
{
	static const uint64_t ram[][3] = {
		{ 0x100000, 0x1000, 1 }, { 0x104000, 0x1000, 1 }, { 0x102000, 0x2000, 1 },
		{ 0x101000, 0x1000, 1 }, { 0x102800, 0x10, 2 },
	};
	static const struct {
		uint32_t start[2], end[2];
		const char *wrong;
	} cases[] = {
		{ { 0x100000 }, { 0x101000 }, NULL },
		{ { 0x100000 }, { 0x102800 }, NULL }, /* across adjoining ranges */
		{ { 0x102810 }, { 0x105000 }, NULL },
		{ { 0x100000 }, { 0x102801 }, "module outside RAM" },
		{ { 0x10280f }, { 0x102810 }, "module outside RAM" },
		{ { 0x102810 }, { 0x105001 }, "module outside RAM" },
		{ { 0xfffff }, { 0x100001 }, "module outside RAM" },
		{ { 0xfffffffe }, { 0xffffffff }, "module outside RAM" },
		{ { 0x100001 }, { 0x100000 }, "module that ends before it starts" },
		{ { 0x100000, 0x100800 }, { 0x100800, 0x101000 }, NULL },
		{ { 0x100000, 0x1007ff }, { 0x100800, 0x101000 }, "modules that overlap" },
		{ { 0x100000, 0x100000 }, { 0x100800, 0x100800 }, "modules that overlap" },
		{ { 0x100100, 0x100000 }, { 0x100200, 0x101000 }, "modules that overlap" },
		{ { 0x100100, 0x100180 }, { 0x100200, 0x100180 }, NULL },
		{ { 0, 0xffffffff }, { 0, 0xffffffff }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		begin();
		tag_module(cases[i].start[0], cases[i].end[0], "");
		tag_module(cases[i].start[1], cases[i].end[1], "");
		tag_memory(ram, COUNT(ram));
		if (cases[i].wrong)
			assert_string_equal(finish(), cases[i].wrong);
		else
			assert_null(finish());
	}
}

/* Text must end inside its tag; a command line must fit, a loader's name is cut. */
static void test_text(void **state)
{
	char text[1100];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t len = 1020; len < 1030; len++) {
		text[len] = '\0';
		begin();
		tag_text(1, text);
		tag_text(2, text);
		tag_memory(memory, COUNT(memory));
		if (len < BOOTINFO_CMDLINE_MAX) {
			assert_null(finish());
			assert_string_equal(got.cmdline, text);
			assert_int_equal(strlen(got.loader), sizeof(got.loader) - 1);
		} else {
			assert_string_equal(finish(), "command line too long");
		}
		text[len] = 'x';
	}
	for (uint32_t type = 1; type <= 3; type++) {
		static const uint8_t payload[16] = "\0\0\0\0\0\0\0\0xxxxxxxx";

		begin();
		tag(type, type == 3 ? 16 : 8);
		put(payload + (type == 3 ? 0 : 8), type == 3 ? 16 : 8);
		assert_string_equal(finish(), type == 2 ? "boot loader name without its end"
							: "command line without its end");
	}
}

/* Odd memory maps: none, no RAM, entries of a wrong size; larger entries are read. */
static void test_memory(void **state)
{
	static const uint64_t odd[][3] = {
		{ 0x1000, 0, 1 },	    /* empty */
		{ UINT64_MAX - 9, 100, 1 }, /* wraps */
		{ 0, UINT64_MAX, 2 },
		{ 5, UINT64_MAX, 7 },
	};
	static const uint32_t sizes[] = { 0, 8, 16, 23, 25, 28, 40, 0xffffffff, 0xfffffff8 };

	(void)state;
	begin();
	assert_string_equal(finish(), "no memory map, or no RAM in it");
	begin();
	tag_memory(memory + 1, 1);
	assert_string_equal(finish(), "no memory map, or no RAM in it");
	begin();
	tag_memory(odd, COUNT(odd));
	assert_null(finish());
	assert_int_equal(got.nr_ram, 1);
	assert_int_equal(got.ram[0].len, 9);
	assert_int_equal(got.nr_unusable, 2);
	assert_int_equal(got.unusable[1].start + got.unusable[1].len, UINT64_MAX);

	for (size_t i = 0; i < COUNT(sizes); i++) {
		begin();
		tag(6, 8 + 48);
		put32(sizes[i]);
		put32(0);
		put(memory, 48);
		assert_string_equal(finish(), "memory map with entries of an odd size");
	}
	begin();
	tag(6, 8 + 64);
	put32(32);
	put32(0);
	for (int i = 0; i < 2; i++) {
		put(memory[0], 24);
		put64(~0UL);
	}
	assert_null(finish());
	assert_int_equal(got.nr_ram, 2);
}

/* Exactly as many ranges and modules as there is room for are taken. */
static void test_too_many(void **state)
{
	(void)state;
	for (uint32_t n = BOOTINFO_MODULES_MAX; n <= BOOTINFO_MODULES_MAX + 1; n++) {
		begin();
		tag_memory(memory, COUNT(memory));
		for (uint32_t i = 0; i < n; i++)
			tag_module(0x200000 + i, 0x200001 + i, "m");
		if (n <= BOOTINFO_MODULES_MAX)
			assert_null(finish());
		else
			assert_string_equal(finish(), "too many modules");
	}
	for (uint32_t type = 1; type <= 2; type++) {
		for (uint32_t n = BOOTINFO_RANGES_MAX; n <= BOOTINFO_RANGES_MAX + 1; n++) {
			begin();
			tag_memory(memory + (type == 1 ? 1 : 0), 1);
			for (uint32_t i = 0; i < n; i++)
				tag_memory(&(uint64_t[3]){ 0x100000 + i, 1, type }, 1);
			if (n > BOOTINFO_RANGES_MAX)
				assert_string_equal(finish(), "too many memory ranges");
			else
				assert_null(finish());
		}
	}
}

static void check_invariants(void)
{
	assert_true(got.nr_ram > 0 && got.nr_ram <= BOOTINFO_RANGES_MAX);
	assert_true(got.nr_unusable <= BOOTINFO_RANGES_MAX);
	assert_true(got.nr_modules <= BOOTINFO_MODULES_MAX);
	assert_true(got.rsdp_len == 0 || got.rsdp_len == 20 || got.rsdp_len == 36);
	assert_true(strnlen(got.cmdline, sizeof(got.cmdline)) < sizeof(got.cmdline));
	assert_true(strnlen(got.loader, sizeof(got.loader)) < sizeof(got.loader));
	for (uint32_t i = 0; i < got.nr_ram; i++)
		assert_true(got.ram[i].len && got.ram[i].start + got.ram[i].len > got.ram[i].start);
	for (uint32_t i = 0; i < got.nr_modules; i++) {
		const struct boot_module *m = &got.modules[i];

		assert_true(strnlen(m->cmdline, BOOTINFO_CMDLINE_MAX) < BOOTINFO_CMDLINE_MAX);
		/* Every byte in RAM: it is enough to look at both ends of each module. */
		for (uint64_t at = m->start; m->len && at < m->start + m->len; at += m->len) {
			bool first = false, last = false;

			for (uint32_t r = 0; r < got.nr_ram; r++) {
				first |= at - got.ram[r].start < got.ram[r].len;
				last |= at + m->len - 1 - got.ram[r].start < got.ram[r].len;
			}
			assert_true(first && last);
		}
	}
}

/* Damage never makes the parser read outside its bytes, and what it accepts is sound. */
static void test_damaged(void **state)
{
	unsigned int accepted = 0;

	(void)state;
	seed_start(20240611);
	for (int i = 0; i < 100000; i++) {
		build_valid();
		seed_damage(info, info_len);
		/* Most damage to the total would only test the first comparison. */
		if (seed_below(8))
			set_total();
		if (seed_below(16) == 0) {
			info_len = seed_below(info_len + 1);
			set_total();
		}
		if (!parse(info_len)) {
			check_invariants();
			accepted++;
		}
	}
	/* Both outcomes are common, so neither side of the test is idle. */
	assert_true(accepted > 10000 && accepted < 90000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),	cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_modules), cmocka_unit_test(test_text),
		cmocka_unit_test(test_memory),	cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
