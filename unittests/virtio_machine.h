/* SPDX-License-Identifier: MIT */
/* A machine with a disk of known contents and a console that is kept, for tests of virtio devices. */
#pragma once
#include <stdlib.h>
#include "lib/log.h"
#include "unittests/virtio_driver.h"

#define SECTORS 100

static struct mem_owner owner = { .id = 1 };
static char console[8192];
static uint8_t *disk; /* a block of its own, so that the sanitizer knows its ends */

void console_write(const char *text, size_t len)
{
	strncat(console, text, len);
}

static inline int start(void **state)
{
	(void)state;
	fake_vcpu_reset();
	memset(console, 0, sizeof(console));
	memset(guest_ram, 0, sizeof(guest_ram));
	fake_vm.owner = &owner;
	strcpy(fake_vm.options.name, "t");
	fake_vm.ram_bytes = GUEST_RAM_SIZE;
	platform_start(VM);
	disk = malloc(SECTORS * 512);
	for (unsigned int i = 0; i < SECTORS * 512; i++)
		disk[i] = (uint8_t)(i / 512 + i % 512 * 7);
	platform_plug_disk(VM, (char *)disk, SECTORS);
	start_driver();
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	free(disk);
	return 0;
}

static inline bool line_is_high(unsigned int line)
{
	return PC->pic.chip[1].lines >> (line - 8) & 1;
}
