/* SPDX-License-Identifier: MIT */
/* Multiboot Specification 0.6.96, "Boot information format"; what guest-tests/lib needs of it. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

enum { HAS_MEMORY = 1 << 0, HAS_COMMAND_LINE = 1 << 2, HAS_MAP = 1 << 6, RAM = 1 };
enum { INFO_AT = 0x1000, LOW_END = 0xa0000, HIGH_START = 0x100000 };

struct region {
	uint32_t size;
	uint64_t start, length;
	uint32_t type;
} __attribute__((packed));

/* The specification's part up to the memory map, and what it points to. */
struct information {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line, modules[2],
		symbols[4];
	uint32_t map_length, map;
	struct region regions[2];
	char text[256];
};

static void *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	long end = -1;
	void *data;

	if (file && !fseek(file, 0, SEEK_END))
		end = ftell(file);
	data = end > 0 ? malloc((size_t)end) : NULL;
	if (!data || fseek(file, 0, SEEK_SET) || fread(data, (size_t)end, 1, file) != 1)
		die("reading %s", path);
	fclose(file);
	*size = (size_t)end;
	return data;
}

static bool fits(uint64_t start, uint64_t length, uint64_t size)
{
	return start <= size && length <= size - start;
}

static uint32_t load_elf(const struct ram *ram, const char *path)
{
	size_t size;
	uint8_t *file = read_file(path, &size);
	Elf32_Ehdr head;
	Elf32_Phdr part;

	if (size < sizeof(head) || memcmp(file, ELFMAG, SELFMAG) || file[EI_CLASS] != ELFCLASS32)
		die("%s is no 32-bit ELF file", path);
	memcpy(&head, file, sizeof(head));
	for (unsigned int i = 0; i < head.e_phnum; i++) {
		uint64_t at = head.e_phoff + (uint64_t)i * head.e_phentsize;

		if (head.e_phentsize != sizeof(part) || !fits(at, sizeof(part), size))
			die("%s has wrong program headers", path);
		memcpy(&part, file + at, sizeof(part));
		if (part.p_type != PT_LOAD)
			continue;
		if (!fits(part.p_offset, part.p_filesz, size) || part.p_filesz > part.p_memsz ||
		    !fits(part.p_paddr, part.p_memsz, ram->populated))
			die("%s does not fit into the guest's RAM", path);
		memcpy(ram->at + part.p_paddr, file + part.p_offset, part.p_filesz);
	}
	free(file);
	return head.e_entry;
}

struct entry image_load(const struct ram *ram, const char *path, const char *arguments)
{
	struct information info = {
		.flags = HAS_MEMORY | HAS_COMMAND_LINE | HAS_MAP,
		.memory_lower = LOW_END / 1024,
		.memory_upper = (uint32_t)((ram->size - HIGH_START) / 1024),
		.command_line = INFO_AT + offsetof(struct information, text),
		.map_length = sizeof(info.regions),
		.map = INFO_AT + offsetof(struct information, regions),
		.regions = {
			{ sizeof(struct region) - 4, 0, LOW_END, RAM },
			{ sizeof(struct region) - 4, HIGH_START, ram->size - HIGH_START, RAM },
		},
	};
	struct entry entry = { load_elf(ram, path), INFO_AT };

	snprintf(info.text, sizeof(info.text), "%s %s", path, arguments);
	memcpy(ram->at + INFO_AT, &info, sizeof(info));
	return entry;
}
