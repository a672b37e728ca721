/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader tells us: Multiboot2 tags, validated and copied. The
 * parser is pure (bytes in, struct out) and runs on the host under the sanitizers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"

#define BOOTINFO_RANGES_MAX  256
#define BOOTINFO_MODULES_MAX 32
#define BOOTINFO_CMDLINE_MAX 1024

struct boot_range {
	uint64_t start, len; /* hpa, bytes */
};

struct boot_module {
	uint64_t start, len; /* hpa, bytes */
	char cmdline[BOOTINFO_CMDLINE_MAX];
};

struct boot_info {
	char cmdline[BOOTINFO_CMDLINE_MAX];
	char loader[64];
	struct boot_range
		ram[BOOTINFO_RANGES_MAX]; /* available RAM only, as given: perhaps overlapping */
	uint32_t nr_ram;
	struct boot_range unusable[BOOTINFO_RANGES_MAX]; /* any other kind; wins over ram */
	uint32_t nr_unusable;
	struct boot_module modules[BOOTINFO_MODULES_MAX];
	uint32_t nr_modules;
	uint8_t rsdp[36];  /* a copy */
	uint32_t rsdp_len; /* 0: none */
};

/*
 * Reads the information structure of @len bytes at @data ("Boot information
 * format" of the Multiboot2 specification). Returns NULL, or what is wrong in a
 * few words: truncated tag, no memory map, module outside RAM or overlapping
 * another, too many of something, a command line without its end.
 */
const char *bootinfo_parse(const void *data, size_t len, struct boot_info *out);
