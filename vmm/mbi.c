/* SPDX-License-Identifier: MIT */
/*
 * Boot information: Multiboot Specification version 0.6.96, "Boot information
 * format". One block: the structure, modules, memory map, then all strings.
 */
#include "vmm/mbi.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/string.h"

#define LOADER_NAME "Vestibule"

#define LOWER_END   KiB(640)
#define UPPER_START MiB(1)

enum {
	MBI_MEMORY = 1 << 0,
	MBI_CMDLINE = 1 << 2,
	MBI_MODULES = 1 << 3,
	MBI_MMAP = 1 << 6,
	MBI_LOADER_NAME = 1 << 9,
};

/* Addresses are guest-physical. */
struct mbi {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	/* no VBE and no frame buffer; present, as guests may copy the whole structure */
	uint32_t video[12];
};
_Static_assert(offsetof(struct mbi, mmap_length) == 44, "as specified");
_Static_assert(offsetof(struct mbi, boot_loader_name) == 64, "as specified");
_Static_assert(sizeof(struct mbi) == 120, "116 bytes are specified");

struct mbi_module {
	uint32_t start, end; /* end: the first byte behind */
	uint32_t string;
	uint32_t reserved;
};

struct mbi_mmap {
	uint32_t size; /* of what follows: the trap of this format */
	uint64_t addr, len;
	uint32_t type;
} __packed;
_Static_assert(sizeof(struct mbi_mmap) == 24, "as specified");

enum { MMAP_RAM = 1, MMAP_RESERVED = 2 };

/* Where the parts stand in the block. */
struct layout {
	size_t modules, mmap, strings;
};

static struct layout layout_of(const struct guest_boot *in)
{
	struct layout l = { .modules = sizeof(struct mbi) };

	l.mmap = l.modules + in->nr_modules * sizeof(struct mbi_module);
	l.strings = l.mmap + (in->nr_ram + 1) * sizeof(struct mbi_mmap);
	return l;
}

size_t mbi_size(const struct guest_boot *in)
{
	size_t size = layout_of(in).strings + sizeof(LOADER_NAME);

	size += strlen(in->name) + 1 + strlen(in->args) + 1;
	for (uint32_t i = 0; i < in->nr_modules; i++)
		size += strlen(in->modules[i].cmdline) + 1;
	return size;
}

/* The block being written; mbi_size() has been checked, so that everything fits. */
struct block {
	uint8_t *buf;
	size_t strings; /* where the next string goes */
	uint32_t gpa;
};

static uint32_t gpa_at(const struct block *b, size_t offset)
{
	return b->gpa + (uint32_t)offset;
}

/* Appends a string and returns its gpa. */
static uint32_t put_string(struct block *b, const char *text)
{
	uint32_t gpa = gpa_at(b, b->strings);
	size_t len = strlen(text) + 1;

	memcpy(b->buf + b->strings, text, len);
	b->strings += len;
	return gpa;
}

/* "name args": the second string starts on the first one's NUL. */
static uint32_t put_cmdline(struct block *b, const struct guest_boot *in)
{
	uint32_t gpa = put_string(b, in->name);

	if (in->args[0]) {
		b->buf[b->strings - 1] = ' ';
		put_string(b, in->args);
	}
	return gpa;
}

static void put_mmap(struct block *b, size_t *at, uint64_t addr, uint64_t len, uint32_t type)
{
	struct mbi_mmap entry = {
		.size = sizeof(entry) - sizeof(entry.size), .addr = addr, .len = len, .type = type
	};

	memcpy(b->buf + *at, &entry, sizeof(entry));
	*at += sizeof(entry);
}

/* The RAM, and in its place between it the hole where a PC has video memory and ROMs. */
static void put_memory(struct block *b, const struct guest_boot *in, size_t at, struct mbi *mbi)
{
	size_t end = at;
	bool hole_done = false;

	for (uint32_t i = 0; i <= in->nr_ram; i++) {
		const struct guest_ram *ram = &in->ram[i];

		if (!hole_done && (i == in->nr_ram || ram->start.v >= LOWER_END)) {
			put_mmap(b, &end, LOWER_END, UPPER_START - LOWER_END, MMAP_RESERVED);
			hole_done = true;
		}
		if (i == in->nr_ram)
			break;
		put_mmap(b, &end, ram->start.v, ram->len, MMAP_RAM);
		if (ram->start.v == 0)
			mbi->mem_lower = (uint32_t)(MIN(ram->len, LOWER_END) >> 10);
		if (ram->start.v == UPPER_START)
			mbi->mem_upper = (uint32_t)MIN(ram->len >> 10, UINT32_MAX);
	}
	mbi->mmap_addr = gpa_at(b, at);
	mbi->mmap_length = (uint32_t)(end - at);
}

static void put_modules(struct block *b, const struct guest_boot *in, size_t at)
{
	for (uint32_t i = 0; i < in->nr_modules; i++) {
		const struct guest_module *m = &in->modules[i];
		struct mbi_module entry = { .start = (uint32_t)m->start.v,
					    .end = (uint32_t)(m->start.v + m->len),
					    .string = put_string(b, m->cmdline) };

		memcpy(b->buf + at + i * sizeof(entry), &entry, sizeof(entry));
	}
}

/* Addresses are 32 bits wide, and so are ends. */
static bool below_4g(gpa_t start, uint64_t len)
{
	return start.v <= UINT32_MAX && len <= UINT32_MAX - start.v;
}

int mbi_build(const struct guest_boot *in, gpa_t at, void *buf, size_t size, size_t *len)
{
	struct layout l = layout_of(in);
	struct block b = { .buf = buf, .strings = l.strings, .gpa = (uint32_t)at.v };
	struct mbi mbi = { .flags = MBI_MEMORY | MBI_CMDLINE | MBI_MODULES | MBI_MMAP |
				    MBI_LOADER_NAME };

	*len = mbi_size(in);
	if (*len > size)
		return -E2BIG;
	if (!below_4g(at, *len))
		return -ERANGE;
	for (uint32_t i = 0; i < in->nr_modules; i++)
		if (!below_4g(in->modules[i].start, in->modules[i].len))
			return -ERANGE;

	mbi.boot_loader_name = put_string(&b, LOADER_NAME);
	mbi.cmdline = put_cmdline(&b, in);
	mbi.mods_count = in->nr_modules;
	mbi.mods_addr = gpa_at(&b, l.modules);
	put_modules(&b, in, l.modules);
	put_memory(&b, in, l.mmap, &mbi);
	memcpy(buf, &mbi, sizeof(mbi));
	*len = b.strings;
	return 0;
}
