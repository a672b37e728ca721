/* SPDX-License-Identifier: MIT */
/*
 * What ACPI a guest has: vmm/acpi.c's tables as drivers/acpi.c reads them, which was written for those of firmware, and the
 * registers of vmm/dev/acpipm.c. With a folder as argument: writes the tables there for scripts/check_acpi.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "drivers/acpi.h"
#include "drivers/exitdev.h"
#include "lib/log.h"
#include "mm/hostmap.h"
#include "mm/vmalloc.h"
#include "vmm/acpi.h"
#include "vmm/dev/acpipm.h"
#include "vmm/guestmem.h"
#include "vmm/vm.h"

static uint8_t *tables;
static struct vm vm;
static uint64_t placed;
static int place_error;
static unsigned int nr_complaints;
static uint16_t off_port, off_value;

void console_write(const char *text, size_t len)
{
	(void)text, (void)len;
	nr_complaints++;
}

void exitdev_set_poweroff(uint16_t port, uint16_t value)
{
	off_port = port;
	off_value = value;
}

const void *hostmap_firmware(hpa_t hpa, uint64_t len)
{
	if (hpa.v < ACPI_TABLES || hpa.v + len > ACPI_TABLES + ACPI_TABLES_SIZE)
		return NULL;
	return tables + (hpa.v - ACPI_TABLES);
}

void *vmalloc(size_t size, enum mem_class class, struct mem_owner *owner)
{
	assert_int_equal(class, SENSITIVE);
	assert_null(owner);
	return place_error == -12 ? NULL : calloc(1, size);
}

void vfree(void *addr)
{
	free(addr);
}

int guestmem_write(const struct vm *to, gpa_t gpa, const void *buf, size_t len)
{
	(void)to;
	if (place_error)
		return place_error;
	assert_int_equal(len, ACPI_TABLES_SIZE);
	placed = gpa.v;
	memcpy(tables, buf, len);
	return 0;
}

static int start(void **state)
{
	(void)state;
	tables = tables ? tables : malloc(ACPI_TABLES_SIZE);
	memset(tables, 0, ACPI_TABLES_SIZE);
	nr_complaints = 0;
	off_port = off_value = 0;
	place_error = 0;
	return 0;
}

/* For each number of vCPUs: all of them, in order, no complaint; by the XSDT and, revision 0, by the RSDT. */
static void test_read(void **state)
{
	for (uint32_t nr = 1; nr <= VCPUS_MAX; nr++) {
		for (unsigned int revision = 0; revision <= 2; revision += 2) {
			struct acpi_info info;

			start(state);
			acpi_build(tables, nr);
			if (!revision) {
				tables[8] = (uint8_t)(tables[8] + tables[15]);
				tables[15] = 0;
			}
			acpi_init(tables, revision ? 36 : 20, &info);
			assert_int_equal(nr_complaints, 0);
			assert_int_equal(info.nr_cpus, nr);
			for (uint32_t i = 0; i < nr; i++)
				assert_int_equal(info.apic_id[i], i);
			assert_int_equal(info.lapic_hpa, 0xfee00000);
			assert_int_equal(info.pm_timer_port, 0x608);
			assert_int_equal(info.spcr_port, 0);
			assert_int_equal(off_port, 0x604);
			assert_int_equal(off_value, 0x2000 | 5 << 10);
		}
	}
}

static void test_place(void **state)
{
	(void)state;
	vm.options.cpus = 3;
	assert_int_equal(acpi_place(&vm), 0);
	assert_int_equal(placed, 0xe0000);
	assert_memory_equal(tables, "RSD PTR ", 8);
	place_error = -14;
	assert_int_equal(acpi_place(&vm), -14);
	place_error = -12;
	assert_int_equal(acpi_place(&vm), -12);
}

/* ---- registers ---- */

static struct acpipm pm;

static uint32_t get(unsigned int reg, unsigned int size, uint64_t clock)
{
	return acpipm_read(&pm, reg, size, clock);
}

/* 24 bits that count, read at once or in pieces. */
static void test_timer(void **state)
{
	(void)state;
	memset(&pm, 0, sizeof(pm));
	assert_int_equal(get(8, 4, 0), 0);
	assert_int_equal(get(8, 4, 0x123456789abcde), 0x9abcde);
	assert_int_equal(get(8, 4, 0xffffff), 0xffffff);
	assert_int_equal(get(8, 4, 0x1000000), 0);
	assert_int_equal(get(9, 2, 0x9abcde), 0x9abc);
	assert_int_equal(get(11, 1, ~0UL), 0);
	assert_int_equal(get(10, 4, 0xabcdef), 0xffff00ab); /* half of it behind the end */
	assert_true(acpipm_write(&pm, 8, 4, ~0u, 5));
	assert_int_equal(get(8, 4, 5), 5);
}

/* The status bit follows the timer's highest bit, until it is cleared by writing 1. */
static void test_status(void **state)
{
	(void)state;
	memset(&pm, 0, sizeof(pm));
	assert_int_equal(get(0, 2, 0x7fffff), 0);
	assert_int_equal(get(0, 2, 0x800000), 1);
	assert_true(acpipm_write(&pm, 0, 2, 0xfffe, 0x800000));
	assert_int_equal(get(0, 2, 0x800000), 1);
	assert_true(acpipm_write(&pm, 0, 2, 1, 0x800000));
	assert_int_equal(get(0, 2, 0xffffff), 0);
	assert_int_equal(get(0, 1, 0x1000000), 1);
	assert_true(acpipm_write(&pm, 0, 1, 1, 0x5000000));
	assert_int_equal(get(0, 4, 0x5000001), 0);
}

static void test_enable(void **state)
{
	(void)state;
	memset(&pm, 0, sizeof(pm));
	assert_true(acpipm_write(&pm, 2, 2, 0xffff, 0));
	assert_int_equal(get(2, 2, 0), 0x0721);
	assert_true(acpipm_write(&pm, 3, 1, 0x01, 0));
	assert_int_equal(get(2, 2, 0), 0x0121);
	assert_int_equal(get(0, 4, 0), 0x01210000);
	assert_true(acpipm_write(&pm, 0, 4, 0, 0));
	assert_int_equal(get(2, 2, 0), 0);
}

/* Of all that control can be told, only SLP_EN with \_S5's type ends the machine; in whatever pieces. */
static void test_control(void **state)
{
	(void)state;
	memset(&pm, 0, sizeof(pm));
	assert_int_equal(get(4, 2, 0), 0x0001);
	for (uint32_t value = 0; value < 0x10000; value++) {
		bool off = (value & 0x2000) && (value >> 10 & 7) == 5;

		assert_int_equal(acpipm_write(&pm, 4, 2, value, 0), !off);
		assert_int_equal(get(4, 2, 0), (value & 0x1c02) | 1);
	}
	assert_true(acpipm_write(&pm, 4, 1, 0, 0));
	assert_true(acpipm_write(&pm, 5, 1, 0x14, 0));
	assert_int_equal(get(4, 4, 0), 0xffff1401);
	assert_false(acpipm_write(&pm, 5, 1, 0x34, 0));
	assert_false(acpipm_write(&pm, 2, 4, 0x34000000, 0));
	assert_false(acpipm_write(&pm, 4, 4, 0x3401, 0));
	assert_true(acpipm_write(&pm, 6, 2, 0x3400, 0));
	assert_int_equal(get(6, 2, 0), 0xffff);
}

/* Each table as a file of its own, named by its signature. */
static int dump(const char *folder)
{
	start(NULL);
	acpi_build(tables, VCPUS_MAX);
	for (uint32_t at = 36; at < ACPI_TABLES_SIZE - 8; at++) {
		static const char names[][5] = { "RSDT", "XSDT", "FACP", "APIC", "FACS", "DSDT" };

		for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			char path[256];
			uint32_t len;
			FILE *file;

			memcpy(&len, tables + at + 4, 4);
			if (memcmp(tables + at, names[i], 4) || len > ACPI_TABLES_SIZE - at)
				continue;
			snprintf(path, sizeof(path), "%s/%s.dat", folder, names[i]);
			file = fopen(path, "wb");
			if (!file || fwrite(tables + at, 1, len, file) != len || fclose(file))
				return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_read, start),
		cmocka_unit_test_setup(test_place, start),
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_enable),
		cmocka_unit_test(test_control),
	};

	if (argc > 1)
		return dump(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
