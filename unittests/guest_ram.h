/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM for tests of devices: from 0 on, with a part that was given back. Every byte that a device reaches for is
 * checked here, and counted.
 */
#pragma once
#include <string.h>
#include "lib/errno.h"
#include "vmm/guestmem.h"

#define GUEST_RAM_SIZE 0x40000UL
#define GUEST_RAM_GONE 0x30000UL /* from here on a page */

static uint8_t guest_ram[GUEST_RAM_SIZE];
static uint64_t guest_ram_copied; /* bytes, either way */

static bool guest_ram_has(uint64_t gpa, size_t len)
{
	return gpa < GUEST_RAM_SIZE && len <= GUEST_RAM_SIZE - gpa &&
	       !ranges_overlap(gpa, len, GUEST_RAM_GONE, PAGE_SIZE);
}

/* Page by page, as the real one: what came before is done. */
static int guest_ram_copy(uint64_t gpa, char *buf, size_t len, bool write)
{
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - gpa % PAGE_SIZE);

		if (!guest_ram_has(gpa, n))
			return -EFAULT;
		memcpy(write ? guest_ram + gpa : (uint8_t *)buf,
		       write ? (uint8_t *)buf : guest_ram + gpa, n);
		guest_ram_copied += n;
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	(void)vm;
	return guest_ram_copy(gpa.v, buf, len, false);
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	(void)vm;
	return guest_ram_copy(gpa.v, (char *)(uintptr_t)buf, len, true);
}
