/* SPDX-License-Identifier: MIT */
/* drivers/acpi.c over firmware memory made of byte buffers, valid and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "drivers/acpi.h"
#include "drivers/exitdev.h"
#include "lib/log.h"
#include <string.h>
#include "mm/hostmap.h"
#include "unittests/seed.h"

enum { RSDT, XSDT, MADT, FADT, DSDT, SPCR, NR_TABLES };

#define TABLE_SPACE 0x1000UL
#define HPA_OF(i)   (0xf0000UL + (uint64_t)(i)*TABLE_SPACE)

static uint8_t memory[NR_TABLES][TABLE_SPACE];
static uint8_t rsdp[36];
static uint32_t table_len[NR_TABLES];

static void *mapped[1024];
static unsigned int nr_mapped;
static unsigned int lines;
static uint16_t poweroff_port, poweroff_value;
static struct acpi_info got;

/* Each mapping is a copy of exactly the bytes asked for: a read beyond it is caught. */
const void *hostmap_firmware(hpa_t hpa, uint64_t len)
{
	uint64_t table = (hpa.v - HPA_OF(0)) / TABLE_SPACE, at = hpa.v % TABLE_SPACE;

	if (hpa.v < HPA_OF(0) || table >= NR_TABLES || len > TABLE_SPACE - at)
		return NULL;
	assert_true(nr_mapped < 1024);
	mapped[nr_mapped] = malloc(len);
	memcpy(mapped[nr_mapped], memory[table] + at, len);
	return mapped[nr_mapped++];
}

void exitdev_set_poweroff(uint16_t port, uint16_t value)
{
	poweroff_port = port;
	poweroff_value = value;
}

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
	lines++;
}

static void set(int table, uint32_t at, uint64_t v, uint32_t bytes)
{
	memcpy(memory[table] + at, &v, bytes);
}

/* Makes the bytes [0, len) sum to zero by the one at @at. */
static void fix_sum(uint8_t *data, uint32_t len, uint32_t at)
{
	uint8_t sum = 0;

	data[at] = 0;
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	data[at] = (uint8_t)-sum;
}

static void fix_table(int table)
{
	fix_sum(memory[table], table_len[table], 9);
}

static void table_begin(int table, const char *signature, uint32_t len)
{
	memset(memory[table], 0, TABLE_SPACE);
	memcpy(memory[table], signature, 4);
	set(table, 4, len, 4);
	table_len[table] = len;
}

/* Appends to a table and keeps its length and checksum right. */
static void append(int table, const uint8_t *bytes, uint32_t len)
{
	memcpy(memory[table] + table_len[table], bytes, len);
	table_len[table] += len;
	set(table, 4, table_len[table], 4);
	fix_table(table);
}

static void append_lapic(uint8_t id, uint32_t flags)
{
	const uint8_t e[8] = { 0, 8, 0, id, (uint8_t)flags };

	append(MADT, e, sizeof(e));
}

static void append_x2apic(uint32_t id, uint32_t flags)
{
	uint8_t e[16] = { 9, 16 };

	memcpy(e + 4, &id, 4);
	memcpy(e + 8, &flags, 4);
	append(MADT, e, sizeof(e));
}

static void fix_rsdp(void)
{
	fix_sum(rsdp, 20, 8);
	fix_sum(rsdp, 36, 32);
}

static const uint8_t s5[] = { 0x08, '_',  'S',	'5',  '_',  0x12, 0x06,
			      0x04, 0x0a, 0x05, 0x0a, 0x05, 0x00, 0x00 };

/* A machine without CPUs yet, ACPI 2.0 or later, all tables in order. */
static void build(void)
{
	uint64_t v;

	table_begin(RSDT, "RSDT", 36 + 2 * 4);
	set(RSDT, 36, HPA_OF(FADT), 4);
	set(RSDT, 40, HPA_OF(MADT), 4);
	table_begin(XSDT, "XSDT", 36 + 4 * 8);
	set(XSDT, 36, 0x12345678, 8); /* leads nowhere */
	set(XSDT, 44, HPA_OF(FADT), 8);
	set(XSDT, 52, HPA_OF(MADT), 8);
	set(XSDT, 60, HPA_OF(SPCR), 8);
	table_begin(SPCR, "SPCR", 80);
	set(SPCR, 40, 1, 1);
	set(SPCR, 44, 0x2f8, 8);
	table_begin(MADT, "APIC", 44);
	set(MADT, 36, 0xfee00000, 4);
	table_begin(FADT, "FACP", 244);
	set(FADT, 40, HPA_OF(DSDT), 4);
	set(FADT, 64, 0x604, 4);
	set(FADT, 76, 0x608, 4);
	set(FADT, 91, 4, 1);
	table_begin(DSDT, "DSDT", 50);
	append(DSDT, s5, sizeof(s5));
	append(DSDT, (const uint8_t[20]){ 0 }, 20);
	for (int i = 0; i < NR_TABLES; i++)
		fix_table(i);

	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	v = HPA_OF(RSDT);
	memcpy(rsdp + 16, &v, 4);
	v = 36;
	memcpy(rsdp + 20, &v, 4);
	v = HPA_OF(XSDT);
	memcpy(rsdp + 24, &v, 8);
	fix_rsdp();
}

static void run(uint64_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	memcpy(exact, rsdp, len);
	memset(&got, 0xee, sizeof(got));
	lines = 0;
	poweroff_port = poweroff_value = 0;
	acpi_init(exact, len, &got);
	free(exact);
	while (nr_mapped)
		free(mapped[--nr_mapped]);
}

/* What is left when nothing can be believed. */
static void assert_defaults(void)
{
	assert_int_equal(got.nr_cpus, 1);
	assert_int_equal(got.lapic_hpa, 0);
	assert_int_equal(got.pm_timer_port, 0);
	assert_int_equal(poweroff_port, 0);
	assert_true(lines > 0);
}

/* Everything in order is read without a complaint, by the XSDT or, with a short RSDP, the RSDT. */
static void test_valid(void **state)
{
	(void)state;
	build();
	append_lapic(0, 1);
	append_lapic(2, 1);
	for (uint64_t len = 20; len <= 36; len += 16) {
		run(len);
		assert_int_equal(lines, 0);
		assert_int_equal(got.nr_cpus, 2);
		assert_int_equal(got.apic_id[0], 0);
		assert_int_equal(got.apic_id[1], 2);
		assert_int_equal(got.lapic_hpa, 0xfee00000);
		assert_int_equal(got.pm_timer_port, 0x608);
		assert_int_equal(poweroff_port, 0x604);
		assert_int_equal(poweroff_value, 1 << 13 | 5 << 10);
	}
}

/* The console is a port of a 16550, or none that we can use. */
static void test_spcr(void **state)
{
	static const struct {
		uint64_t type, space, address;
		uint16_t port;
	} cases[] = {
		{ 0, 1, 0x3e8, 0x3e8 }, /* full 16550 */
		{ 1, 1, 0x2f8, 0x2f8 }, /* a subset of it */
		{ 3, 1, 0x3e8, 0 },	/* ARM PL011 */
		{ 0, 0, 0x3e8, 0 },	/* registers in memory */
		{ 0, 1, 0x1003f8, 0 },	/* no port */
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		build();
		set(SPCR, 36, cases[i].type, 1);
		set(SPCR, 40, cases[i].space, 1);
		set(SPCR, 44, cases[i].address, 8);
		fix_table(SPCR);
		run(36);
		assert_int_equal(got.spcr_port, cases[i].port);
	}
}

/* Only enabled CPUs count, each once, whichever kind of entry lists it. */
static void test_madt_cpus(void **state)
{
	(void)state;
	build();
	append_lapic(1, 0);
	append_lapic(2, 2); /* online capable: an empty socket */
	append_lapic(3, 1);
	append_lapic(3, 1);
	append_lapic(0xff, 1);
	append_x2apic(3, 1);
	append_x2apic(300, 1);
	append_x2apic(301, 0);
	append_x2apic(UINT32_MAX, 1);
	append(MADT, (const uint8_t[]){ 0, 4, 0, 9 }, 4); /* too short for its type */
	append(MADT, (const uint8_t[]){ 5, 12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0 }, 12);
	append(MADT, (const uint8_t[]){ 200, 2 }, 2); /* a type of the future */
	append_lapic(7, 1);
	run(36);
	assert_int_equal(got.nr_cpus, 3);
	assert_int_equal(got.apic_id[0], 3);
	assert_int_equal(got.apic_id[1], 300);
	assert_int_equal(got.apic_id[2], 7);
	assert_int_equal(got.lapic_hpa, 0x100000000);
}

/* More CPUs than we can use: the first ones, and a line that says so. */
/* I/O APICs, and where ISA interrupts go: as they are numbered, unless an override of bus 0 says otherwise. */
static void test_madt_interrupts(void **state)
{
	(void)state;
	build();
	run(36);
	assert_int_equal(got.nr_ioapics, 0);
	append(MADT, (const uint8_t[]){ 1, 12, 9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 }, 12);
	append(MADT, (const uint8_t[]){ 1, 12, 9, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0 }, 12);
	append(MADT, (const uint8_t[]){ 1, 11, 9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0 }, 11);
	append(MADT, (const uint8_t[]){ 2, 10, 0, 4, 28, 0, 0, 0, 15, 0 }, 10);
	append(MADT, (const uint8_t[]){ 2, 10, 0, 3, 29, 0, 0, 0, 5, 0 }, 10);
	append(MADT, (const uint8_t[]){ 2, 10, 1, 5, 30, 0, 0, 0, 15, 0 }, 10);
	append(MADT, (const uint8_t[]){ 2, 10, 0, 16, 30, 0, 0, 0, 15, 0 }, 10);
	append(MADT, (const uint8_t[]){ 2, 9, 0, 6, 30, 0, 0, 0, 15 }, 9);
	run(36);
	assert_int_equal(got.nr_ioapics, 2);
	assert_int_equal(got.ioapics[0].hpa, 0xfec00000);
	assert_int_equal(got.ioapics[0].first_gsi, 0);
	assert_int_equal(got.ioapics[1].hpa, 0xfec01000);
	assert_int_equal(got.ioapics[1].first_gsi, 24);
	for (uint32_t irq = 0; irq < ACPI_ISA_IRQS; irq++) {
		assert_int_equal(got.isa_irqs[irq].gsi, irq == 4 ? 28 : irq == 3 ? 29 : irq);
		assert_int_equal(got.isa_irqs[irq].active_low, irq == 4);
	}
	for (uint32_t i = 0; i < ACPI_IOAPICS_MAX; i++)
		append(MADT, (const uint8_t[]){ 1, 12, 9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 }, 12);
	run(36);
	assert_int_equal(got.nr_ioapics, ACPI_IOAPICS_MAX);
}

static void test_madt_many_cpus(void **state)
{
	(void)state;
	build();
	for (uint32_t i = 0; i < CPUS_MAX + 10; i++)
		append_x2apic(1000 + i, 1);
	run(36);
	assert_int_equal(got.nr_cpus, CPUS_MAX);
	assert_int_equal(got.apic_id[CPUS_MAX - 1], 1000 + CPUS_MAX - 1);
	assert_int_equal(lines, 1);
}

/* An absurd entry length ends the scan; the CPUs before it stay. */
static void test_madt_absurd_entries(void **state)
{
	(void)state;
	for (int len = 0; len < 256; len++) {
		build();
		append_lapic(1, 1);
		append(MADT, (const uint8_t[8]){ 0, (uint8_t)len, 0, 9, 1 }, 8);
		append_lapic(4, 1);
		run(36);
		/* 16 bytes are left: 8 are a good entry, 2 to 7 and 9 to 16 just skip some bytes. */
		assert_int_equal(got.apic_id[0], 1);
		if (len < 2 || len > 16) {
			assert_int_equal(got.nr_cpus, 1);
			assert_int_equal(lines, 1);
		}
		if (len == 8)
			assert_int_equal(got.nr_cpus, 3);
	}
}

/* Nothing behind a wrong signature, checksum or pointer is believed, at any level. */
static void test_broken(void **state)
{
	(void)state;
	build();
	append_lapic(1, 1);
	lines = poweroff_port = 0;
	acpi_init(NULL, 0, &got);
	assert_defaults();
	for (uint64_t len = 0; len < 20; len++) {
		run(len);
		assert_defaults();
	}
	rsdp[0] ^= 1;
	fix_rsdp();
	run(36);
	assert_defaults();

	for (int table = 0; table < 3; table++) {
		build();
		append_lapic(1, 1);
		append_lapic(2, 1);
		memory[table][20]++; /* breaks the sum */
		run(36);
		/* Without the XSDT the RSDT serves, and the other way round. */
		assert_int_equal(got.nr_cpus, table == MADT ? 1 : 2);
		assert_int_equal(got.pm_timer_port, 0x608);
		assert_int_equal(lines > 0, table != RSDT);
	}
	build();
	memory[RSDT][20]++;
	memory[XSDT][20]++;
	run(36);
	assert_defaults();
}

/* A table shorter than its header or longer than 1 MiB is broken, whatever its bytes. */
static void test_table_lengths(void **state)
{
	static const uint32_t lengths[] = { 0,	      1,	  35,	      0x1001,
					    0x100001, 0x7fffffff, 0xffffffff, 0xffffffdc };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (int table = 0; table < NR_TABLES; table++) {
			build();
			append_lapic(1, 1);
			append_lapic(2, 1);
			set(table, 4, lengths[i], 4);
			run(36);
			assert_int_equal(got.nr_cpus, table == MADT ? 1 : 2);
			assert_int_equal(poweroff_port, table == FADT || table == DSDT ? 0 : 0x604);
		}
	}
}

/* The PM timer and PM1a: the newer field wins if it is there, and only an I/O port counts. */
static void test_fadt_ports(void **state)
{
	static const struct {
		uint32_t len, old;
		uint8_t timer_len, space;
		uint64_t gas;
		uint16_t want;
	} cases[] = {
		{ 244, 0x608, 4, 0, 0, 0x608 },	    { 244, 0x608, 4, 1, 0x808, 0x808 },
		{ 244, 0x608, 4, 0, 0x808, 0 },	    { 244, 0x608, 0, 1, 0x808, 0 },
		{ 244, 0x10000, 4, 0, 0, 0 },	    { 244, 0, 4, 1, 0x100000608, 0 },
		{ 116, 0x608, 4, 1, 0x808, 0x608 }, { 92, 0x608, 4, 0, 0, 0x608 },
		{ 91, 0x608, 4, 0, 0, 0 },	    { 36, 0x608, 4, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build();
		set(FADT, 76, cases[i].old, 4);
		set(FADT, 91, cases[i].timer_len, 1);
		set(FADT, 208, cases[i].space, 1);
		set(FADT, 212, cases[i].gas, 8);
		set(FADT, 4, cases[i].len, 4);
		table_len[FADT] = cases[i].len;
		fix_table(FADT);
		run(36);
		assert_int_equal(got.pm_timer_port, cases[i].want);
	}
	build();
	set(FADT, 172, 1, 1);
	set(FADT, 176, 0xb004, 8);
	fix_table(FADT);
	run(36);
	assert_int_equal(poweroff_port, 0xb004);
}

/* The soft-off value in all the forms that compilers emit; anything else leaves it unknown. */
static void test_s5(void **state)
{
	static const struct {
		uint8_t bytes[16];
		uint32_t len;
		int type; /* -1: none */
	} cases[] = {
		{ "\x08_S5_\x12\x06\x04\x0a\x05\x0a\x05\0\0", 14, 5 },
		{ "\x08_S5_\x12\x05\x04\x00\x00\0\0\0\0", 14, 0 },
		{ "\x08_S5_\x12\x05\x04\x01\x01\0\0\0\0", 14, 1 },
		{ "\x08\\_S5_\x12\x06\x04\x0a\x07\x0a\x05\0", 14, 7 },
		{ "\x08_S5_\x12\x46\x00\x04\x0a\x03\x0a\x03", 14, 3 },
		{ "\x08_S5_\x12\x06\x04\x0a\x08\x0a\x05\0\0", 14, -1 },
		{ "\x08_S5_\x12\x06\x04\x0b\x05\x0a\x05\0\0", 14, -1 },
		{ "\x09_S5_\x12\x06\x04\x0a\x05\x0a\x05\0\0", 14, -1 },
		{ "\x08_S4_\x12\x06\x04\x0a\x05\x0a\x05\0\0", 14, -1 },
		{ "\x08_S5_\x14\x06\x04\x0a\x05\x0a\x05\0\0", 14, -1 },
		{ "\x08_S5_\x12\x06\x04", 8, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build();
		table_begin(DSDT, "DSDT", 50);
		append(DSDT, cases[i].bytes, cases[i].len);
		run(36);
		assert_int_equal(poweroff_port, cases[i].type < 0 ? 0 : 0x604);
		if (cases[i].type >= 0)
			assert_int_equal(poweroff_value, 1 << 13 | cases[i].type << 10);
	}
}

/* Damage, checksums mostly repaired, never makes us read outside what was mapped. */
static void test_damaged(void **state)
{
	unsigned int several = 0;

	(void)state;
	seed_start(20240611);
	for (int i = 0; i < 100000; i++) {
		int table = (int)seed_below(NR_TABLES + 1);

		build();
		append_lapic(0, 1);
		append_x2apic(5, 1);
		append_lapic(1, 1);
		if (table == NR_TABLES) {
			seed_damage(rsdp, sizeof(rsdp));
			if (seed_below(8))
				fix_rsdp();
		} else {
			uint32_t len;

			seed_damage(memory[table], table_len[table]);
			memcpy(&len, memory[table] + 4, 4);
			if (seed_below(8) && len >= 36 && len <= TABLE_SPACE)
				fix_sum(memory[table], len, 9);
		}
		run(seed_below(16) ? 36 : seed_below(37));
		assert_true(got.nr_cpus >= 1 && got.nr_cpus <= CPUS_MAX);
		several += got.nr_cpus > 1;
	}
	assert_true(several > 10000 && several < 95000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),		cmocka_unit_test(test_madt_cpus),
		cmocka_unit_test(test_madt_interrupts), cmocka_unit_test(test_madt_absurd_entries),
		cmocka_unit_test(test_madt_many_cpus),	cmocka_unit_test(test_madt_absurd_entries),
		cmocka_unit_test(test_broken),		cmocka_unit_test(test_table_lengths),
		cmocka_unit_test(test_fadt_ports),	cmocka_unit_test(test_s5),
		cmocka_unit_test(test_damaged),		cmocka_unit_test(test_spcr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
