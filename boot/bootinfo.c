/* SPDX-License-Identifier: MIT */
/*
 * Multiboot2 specification, "Boot information format": total_size and a reserved word,
 * then tags of { type, size, ... }, each on an 8-byte boundary, closed by type 0. The
 * loader is believed about what it says, but not about where a tag ends.
 */
#include "boot/bootinfo.h"
#include "lib/bitops.h"
#include "lib/string.h"

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_MEMORY_MAP = 6,
	TAG_RSDP_V1 = 14, /* the ACPI 1.0 structure */
	TAG_RSDP_V2 = 15,
};

#define INFO_HEADER 8
#define TAG_HEADER  8
#define TAG_ALIGN   8

#define MEMORY_AVAILABLE  1
#define MEMORY_ENTRY_SIZE 24 /* base, length, type, reserved; later versions may only append */

#define RSDP_V1_SIZE 20

/* The part of a tag behind its header. */
struct payload {
	const uint8_t *data;
	size_t len;
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

/* The text that fills @p; NULL if its closing NUL is missing. */
static const char *text_of(struct payload p)
{
	const char *s = (const char *)p.data;

	return strnlen(s, p.len) < p.len ? s : NULL;
}

static const char *copy_cmdline(struct payload p, char out[BOOTINFO_CMDLINE_MAX])
{
	const char *s = text_of(p);

	if (!s)
		return "command line without its end";
	if (strlen(s) >= BOOTINFO_CMDLINE_MAX)
		return "command line too long";
	memcpy(out, s, strlen(s) + 1);
	return NULL;
}

static const char *copy_loader(struct payload p, struct boot_info *out)
{
	const char *s = text_of(p);
	size_t n;

	if (!s)
		return "boot loader name without its end";
	n = strnlen(s, sizeof(out->loader) - 1);
	memcpy(out->loader, s, n);
	out->loader[n] = '\0';
	return NULL;
}

static const char *add_module(struct payload p, struct boot_info *out)
{
	struct boot_module *m;
	uint32_t start, end;

	if (p.len < 8)
		return "truncated module tag";
	if (out->nr_modules == BOOTINFO_MODULES_MAX)
		return "too many modules";
	m = &out->modules[out->nr_modules++];
	start = get32(p.data);
	end = get32(p.data + 4);
	if (end < start)
		return "module that ends before it starts";
	m->start = start;
	m->len = end - start;
	return copy_cmdline((struct payload){ p.data + 8, p.len - 8 }, m->cmdline);
}

static bool add_range(struct boot_range *ranges, uint32_t *nr, uint64_t start, uint64_t len)
{
	if (*nr == BOOTINFO_RANGES_MAX)
		return false;
	ranges[(*nr)++] = (struct boot_range){ start, len };
	return true;
}

static const char *add_memory(struct payload p, struct boot_info *out)
{
	size_t entry_size;

	if (p.len < 8)
		return "truncated memory map";
	entry_size = get32(p.data);
	if (entry_size < MEMORY_ENTRY_SIZE || entry_size % 8 || (p.len - 8) % entry_size)
		return "memory map with entries of an odd size";

	for (size_t at = 8; at < p.len; at += entry_size) {
		uint64_t start = get64(p.data + at), len = get64(p.data + at + 8);
		bool is_ram = get32(p.data + at + 16) == MEMORY_AVAILABLE;

		/* One byte short of 2^64, so that start + len never wraps for anyone. */
		len = MIN(len, UINT64_MAX - start);
		if (len == 0)
			continue;
		if (!(is_ram ? add_range(out->ram, &out->nr_ram, start, len)
			     : add_range(out->unusable, &out->nr_unusable, start, len)))
			return "too many memory ranges";
	}
	return NULL;
}

/* The new structure begins with the old one; @size bytes of it must be there. */
static const char *copy_rsdp(struct payload p, uint32_t size, struct boot_info *out)
{
	if (p.len < size)
		return "truncated RSDP";
	if (size < out->rsdp_len)
		return NULL;
	memcpy(out->rsdp, p.data, size);
	out->rsdp_len = size;
	return NULL;
}

static const char *read_tag(uint32_t type, struct payload p, struct boot_info *out)
{
	switch (type) {
	case TAG_CMDLINE:
		return copy_cmdline(p, out->cmdline);
	case TAG_LOADER:
		return copy_loader(p, out);
	case TAG_MODULE:
		return add_module(p, out);
	case TAG_MEMORY_MAP:
		return add_memory(p, out);
	case TAG_RSDP_V1:
		return copy_rsdp(p, RSDP_V1_SIZE, out);
	case TAG_RSDP_V2:
		return copy_rsdp(p, sizeof(out->rsdp), out);
	default:
		return NULL;
	}
}

static const char *read_tags(const uint8_t *info, size_t total, struct boot_info *out)
{
	for (size_t at = INFO_HEADER; at <= total && total - at >= TAG_HEADER;) {
		uint32_t type = get32(info + at), size = get32(info + at + 4);
		struct payload p = { info + at + TAG_HEADER, size - TAG_HEADER };
		const char *wrong;

		if (size < TAG_HEADER || size > total - at)
			return "truncated tag";
		if (type == TAG_END)
			return NULL;
		wrong = read_tag(type, p, out);
		if (wrong)
			return wrong;
		at += ALIGN_UP((size_t)size, TAG_ALIGN);
	}
	return "no end tag";
}

/* Whether every byte of @m is RAM, perhaps of several adjoining ranges, and none unusable. */
static bool module_in_ram(const struct boot_module *m, const struct boot_info *info)
{
	uint64_t at = m->start, end = m->start + m->len;
	bool moved = true;

	for (uint32_t i = 0; i < info->nr_unusable; i++) {
		const struct boot_range *r = &info->unusable[i];

		if (ranges_overlap(m->start, m->len, r->start, r->len))
			return false;
	}
	while (at < end && moved) {
		moved = false;
		for (uint32_t i = 0; i < info->nr_ram; i++) {
			const struct boot_range *r = &info->ram[i];

			if (at >= r->start && at - r->start < r->len) {
				at = r->start + r->len;
				moved = true;
			}
		}
	}
	return at >= end;
}

static const char *check_modules(const struct boot_info *info)
{
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		const struct boot_module *m = &info->modules[i];

		if (m->len == 0)
			continue;
		if (!module_in_ram(m, info))
			return "module outside RAM";
		for (uint32_t j = 0; j < i; j++) {
			const struct boot_module *other = &info->modules[j];

			if (other->len &&
			    ranges_overlap(m->start, m->len, other->start, other->len))
				return "modules that overlap";
		}
	}
	return NULL;
}

const char *bootinfo_parse(const void *data, size_t len, struct boot_info *out)
{
	const char *wrong;
	size_t total;

	memset(out, 0, sizeof(*out));
	if (len < INFO_HEADER)
		return "truncated information structure";
	total = get32(data);
	if (total > len)
		return "truncated information structure";
	wrong = read_tags(data, total, out);
	if (wrong)
		return wrong;
	if (out->nr_ram == 0)
		return "no memory map, or no RAM in it";
	return check_modules(out);
}
