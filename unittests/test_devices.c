/* SPDX-License-Identifier: MIT */
/* The small devices of vmm/dev/: clock, fw_cfg, PCI configuration, CRT controller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "unittests/seed.h"
#include "vmm/dev/crtc.h"
#include "vmm/dev/fwcfg.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/rtc.h"

static struct rtc rtc;

static uint8_t cmos(uint8_t reg, uint64_t seconds)
{
	rtc_select(&rtc, reg);
	return rtc_read(&rtc, seconds);
}

static void set_cmos(uint8_t reg, uint8_t value)
{
	rtc_select(&rtc, reg);
	rtc_write(&rtc, value);
}

static uint8_t bcd(int v)
{
	return (uint8_t)(v / 10 << 4 | v % 10);
}

/* Against the C library, over three centuries: years by 4, by 100 and by 400. */
static void test_date(void **state)
{
	(void)state;
	rtc_init(&rtc, 0);
	seed_start(146818);
	for (int i = 0; i < 20000; i++) {
		uint64_t seconds = seed_below(i % 2 ? 1UL << 26 : 9467085600);
		time_t t = (time_t)(RTC_START + seconds);
		struct tm tm;

		gmtime_r(&t, &tm);
		assert_int_equal(cmos(0, seconds), bcd(tm.tm_sec));
		assert_int_equal(cmos(2, seconds), bcd(tm.tm_min));
		assert_int_equal(cmos(4, seconds), bcd(tm.tm_hour));
		assert_int_equal(cmos(6, seconds), bcd(tm.tm_wday + 1));
		assert_int_equal(cmos(7, seconds), bcd(tm.tm_mday));
		assert_int_equal(cmos(8, seconds), bcd(tm.tm_mon + 1));
		assert_int_equal(cmos(9, seconds), bcd(tm.tm_year % 100));
		assert_int_equal(cmos(0x32, seconds), bcd(tm.tm_year / 100 + 19));
	}
}

static void test_formats(void **state)
{
	static const struct {
		uint8_t b, hour, want;
	} cases[] = {
		{ 2, 0, 0x00 }, { 2, 23, 0x23 }, { 6, 0, 0 },	  { 6, 23, 23 },
		{ 0, 0, 0x12 }, { 0, 11, 0x11 }, { 0, 12, 0x92 }, { 0, 13, 0x81 },
		{ 4, 0, 12 },	{ 4, 12, 0x8c }, { 4, 23, 0x8b },
	};

	(void)state;
	rtc_init(&rtc, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_cmos(11, cases[i].b);
		assert_int_equal(cmos(4, cases[i].hour * 3600UL), cases[i].want);
		assert_int_equal(cmos(2, 59 * 60), cases[i].b & 4 ? 59 : 0x59);
	}
}

static void test_registers(void **state)
{
	(void)state;
	rtc_init(&rtc, MiB(128));
	assert_int_equal(cmos(10, 0), 0x26);
	assert_int_equal(cmos(11, 0), 0x02);
	assert_int_equal(cmos(12, 0), 0);
	assert_int_equal(cmos(13, 0), 0x80);
	for (unsigned int reg = 0; reg < 128; reg++)
		set_cmos((uint8_t)reg, 0xff);
	assert_int_equal(cmos(10, 0), 0x7f); /* no update is in progress */
	assert_int_equal(cmos(11, 0), 0x87); /* no interrupt is enabled */
	assert_int_equal(cmos(12, 0), 0);
	assert_int_equal(cmos(13, 0), 0x80);
	assert_int_equal(cmos(0x80 | 0x40, 0), 0xff); /* memory; bit 7 masks NMIs */
	assert_int_equal(cmos(0, 7), 7);	      /* the clock was not set */
}

static void test_ram_size(void **state)
{
	static const struct {
		uint64_t bytes;
		unsigned int base, extended, high;
	} cases[] = {
		{ KiB(512), 512, 0, 0 },	   { MiB(1), 640, 0, 0 },
		{ MiB(17), 640, 16384, 16 },	   { MiB(128), 640, 0xffff, 112 * 16 },
		{ GiB(512), 640, 0xffff, 0xffff },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rtc_init(&rtc, cases[i].bytes);
		assert_int_equal(cmos(0x15, 0) | cmos(0x16, 0) << 8, cases[i].base);
		assert_int_equal(cmos(0x17, 0) | cmos(0x18, 0) << 8, cases[i].extended);
		assert_int_equal(cmos(0x30, 0) | cmos(0x31, 0) << 8, cases[i].extended);
		assert_int_equal(cmos(0x34, 0) | cmos(0x35, 0) << 8, cases[i].high);
	}
}

static void test_fwcfg(void **state)
{
	static char cmdline[] = "console=ttyS0 x";
	struct fwcfg f = {
		.ram_bytes = 0x123456789a, .cpus = 2, .cmdline = cmdline, .cmdline_len = 15
	};
	static const struct {
		uint16_t key;
		uint8_t len;
		const char *bytes;
	} items[] = {
		{ 0x00, 4, "QEMU" },
		{ 0x01, 4, "\1\0\0\0" },
		{ 0x03, 8, "\x9a\x78\x56\x34\x12\0\0\0" },
		{ 0x05, 2, "\2\0" },
		{ 0x0f, 2, "\2\0" },
		{ 0x14, 4, "\x10\0\0\0" },
		{ 0x15, 15, cmdline },
		{ 0x02, 0, "" }, /* a UUID, which there is not; a list of files likewise */
		{ 0x19, 0, "" },
		{ 0xffff, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		for (int again = 0; again < 2; again++) {
			fwcfg_select(&f, items[i].key);
			for (unsigned int at = 0; at < items[i].len; at++)
				assert_int_equal(fwcfg_read(&f), (uint8_t)items[i].bytes[at]);
			for (unsigned int behind = 0; behind < 100; behind++)
				assert_int_equal(fwcfg_read(&f), 0);
		}
	}
}

static void test_pci(void **state)
{
	struct pci p = { 0 };

	(void)state;
	assert_false(pci_write(&p, 0, 4, 0x80001234));
	assert_int_equal(pci_read(&p, 0, 4), 0x80001234);
	assert_int_equal(pci_read(&p, 4, 4), ~0u); /* nobody at that address */
	assert_false(pci_write(&p, 4, 4, 5));
	assert_false(pci_write(&p, 0, 1, 0xff)); /* bytes of it are not the address */
	assert_false(pci_write(&p, 3, 1, 1));
	assert_int_equal(pci_read(&p, 0, 4), 0x80001234);
	assert_int_equal(pci_read(&p, 0, 2), ~0u);
	assert_false(pci_write(&p, 0, 4, ~0u)); /* reserved bits read 0 */
	assert_int_equal(pci_read(&p, 0, 4), 0x80fffffc);
	/* The reset register, by its rising bit. */
	assert_false(pci_write(&p, 1, 1, 2));
	assert_int_equal(pci_read(&p, 1, 1), 2);
	assert_false(pci_write(&p, 1, 2, 6));
	assert_true(pci_write(&p, 1, 1, 6));
	assert_false(pci_write(&p, 1, 1, 6));
	assert_false(pci_write(&p, 1, 1, 0));
	assert_true(pci_write(&p, 1, 1, 4));
}

static uint32_t config(struct pci *p, unsigned int slot, unsigned int reg, unsigned int size)
{
	pci_write(p, 0, 4, 0x80000000 | slot << 11 | (reg & ~3u));
	return pci_read(p, 4 + reg % 4, size) & (uint32_t)BITS(8 * size - 1, 0);
}

static void set_config(struct pci *p, unsigned int slot, unsigned int reg, unsigned int size,
		       uint32_t value)
{
	pci_write(p, 0, 4, 0x80000000 | slot << 11 | (reg & ~3u));
	pci_write(p, 4 + reg % 4, size, value);
}

static void test_pci_functions(void **state)
{
	static const uint32_t want[16] = {
		0x10011af4, 1, 0x01000000, 0, 0xc081, [11] = 0x00021af4, [15] = 0x010b
	};
	struct pci p = { 0 };

	(void)state;
	pci_plug(&p, PCI_DISK, 11);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(config(&p, PCI_DISK, 4 * i, 4), i < 16 ? want[i] : 0);
	for (unsigned int slot = 0; slot < 32; slot++)
		assert_int_equal(config(&p, slot, 0, 4), slot == PCI_DISK ? want[0] : ~0u);
	/* Another bus, another function, or not enabled. */
	for (unsigned int bit = 8; bit < 32; bit++) {
		if (bit >= 11 && bit < 16)
			continue;
		pci_write(&p, 0, 4, 0x80001000 ^ 1u << bit);
		if (bit < 24) {
			assert_int_equal(pci_read(&p, 4, 4), ~0u);
			pci_write(&p, 4, 4, 0);
		}
	}
	pci_write(&p, 0, 4, 0x00001000);
	assert_int_equal(pci_read(&p, 4, 4), ~0u);
	/* Bytes of a word, and accesses beyond it. */
	assert_int_equal(config(&p, PCI_DISK, 1, 1), 0x1a);
	assert_int_equal(config(&p, PCI_DISK, 2, 2), 0x1001);
	assert_int_equal(config(&p, PCI_DISK, 3, 2), 0xffff);
	assert_int_equal(config(&p, PCI_DISK, 1, 4), ~0u);
	set_config(&p, PCI_DISK, 0x3c, 1, 5);
	set_config(&p, PCI_DISK, 0x3d, 1, 2); /* the pin is as it is */
	assert_int_equal(config(&p, PCI_DISK, 0x3c, 4), 0x0105);
	set_config(&p, PCI_DISK, 0x11, 1, 0xd1);
	assert_int_equal(config(&p, PCI_DISK, 0x10, 4), 0xd181);
	set_config(&p, PCI_DISK, 0x11, 4, 0); /* beyond */
	assert_int_equal(config(&p, PCI_DISK, 0x10, 4), 0xd181);
	for (unsigned int i = 0; i < 64; i++)
		set_config(&p, PCI_DISK, 4 * i, 4, ~0u);
	assert_int_equal(config(&p, PCI_DISK, 4, 4), 5);
	assert_int_equal(config(&p, PCI_DISK, 0, 4), want[0]);
	assert_int_equal(config(&p, PCI_DISK, 0x14, 4), 0);
	/* Its ports. */
	for (uint32_t port = 0; port < 0x10100; port++) {
		assert_int_equal(pci_slot_at(&p, port), port - 0xffc0 < 64 ? PCI_DISK : PCI_SLOTS);
	}
	set_config(&p, PCI_DISK, 4, 1, 4);
	assert_int_equal(pci_slot_at(&p, 0xffc0), PCI_SLOTS);
	/* A bridge has none, and nothing that can be written. */
	pci_plug(&p, PCI_BRIDGE, 0);
	for (unsigned int i = 0; i < 64; i++)
		set_config(&p, PCI_BRIDGE, 4 * i, 4, ~0u);
	assert_int_equal(config(&p, PCI_BRIDGE, 8, 4), 0x06000000);
	for (unsigned int i = 1; i < 64; i++)
		if (i != 2 && i != 11)
			assert_int_equal(config(&p, PCI_BRIDGE, 4 * i, 4), 0);
	assert_int_equal(pci_slot_at(&p, 0), PCI_SLOTS);
}

static void test_crtc(void **state)
{
	struct crtc c = { 0 };

	(void)state;
	crtc_write(&c, 0, 0x0e);
	crtc_write(&c, 1, 0x12);
	crtc_write(&c, 0, 0x0f);
	crtc_write(&c, 1, 0x34);
	assert_int_equal(crtc_read(&c, 1), 0x34);
	crtc_write(&c, 0, 0xee); /* 32 registers */
	assert_int_equal(crtc_read(&c, 0), 0x0e);
	assert_int_equal(crtc_read(&c, 1), 0x12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_date),	      cmocka_unit_test(test_formats),
		cmocka_unit_test(test_registers),     cmocka_unit_test(test_ram_size),
		cmocka_unit_test(test_fwcfg),	      cmocka_unit_test(test_pci),
		cmocka_unit_test(test_pci_functions), cmocka_unit_test(test_crtc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
