/* SPDX-License-Identifier: MIT */
/* The Multiboot information, copied into the image before anything can overwrite it. */
#include "guest-tests/lib/guest.h"

enum { HAS_MEM = 1 << 0, HAS_CMDLINE = 1 << 2, HAS_MODS = 1 << 3, HAS_MAP = 1 << 6 };

struct mb_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr, drives[2], config, loader_name;
};

struct mb_module {
	u32 start, end, cmdline, reserved;
};

struct mb_region {
	u32 size;
	u64 start, length;
	u32 type;
} __attribute__((packed));

struct boot_data boot;

static void used(u64 start, u64 len)
{
	if (boot.nr_used < ARRAY_SIZE(boot.used))
		boot.used[boot.nr_used++] = (struct region){ start, start + len, 0 };
}

static void copy_string(char *dst, size_t size, u32 addr)
{
	const char *src = (const char *)(u64)addr;
	size_t n = 0;

	while (n + 1 < size && src[n]) {
		dst[n] = src[n];
		n++;
	}
	dst[n] = 0;
	used(addr, n + 1);
}

static void copy_map(const struct mb_info *mb)
{
	u64 at = mb->mmap_addr, end = at + mb->mmap_length;

	used(at, mb->mmap_length);
	while (at < end && boot.nr_map < ARRAY_SIZE(boot.map)) {
		const struct mb_region *r = (const struct mb_region *)at;

		boot.map[boot.nr_map++] =
			(struct region){ r->start, r->start + r->length, r->type };
		at += r->size + sizeof(r->size);
	}
}

static void copy_mods(const struct mb_info *mb)
{
	const struct mb_module *m = (const struct mb_module *)(u64)mb->mods_addr;

	used(mb->mods_addr, mb->mods_count * sizeof(*m));
	for (u32 i = 0; i < mb->mods_count && boot.nr_mods < ARRAY_SIZE(boot.mods); i++, m++) {
		used(m->start, m->end - m->start);
		if (m->cmdline)
			copy_string(boot.mod_args[boot.nr_mods], sizeof(boot.mod_args[0]),
				    m->cmdline);
		boot.mods[boot.nr_mods++] = (struct region){ m->start, m->end, 0 };
	}
}

void info_init(u32 info)
{
	const struct mb_info *mb = (const struct mb_info *)(u64)info;

	boot.flags = mb->flags;
	used(info, sizeof(*mb));
	if (mb->flags & HAS_MEM) {
		boot.mem_lower = mb->mem_lower;
		boot.mem_upper = mb->mem_upper;
	}
	if (mb->flags & HAS_CMDLINE)
		copy_string(boot.cmdline, sizeof(boot.cmdline), mb->cmdline);
	if (mb->flags & HAS_MODS)
		copy_mods(mb);
	if (mb->flags & HAS_MAP)
		copy_map(mb);
}

const char *arg_find(const char *key)
{
	const char *word = boot.cmdline;

	while (*word) {
		size_t n = 0;

		while (key[n] && word[n] == key[n])
			n++;
		if (!key[n] && word[n] == '=')
			return word + n + 1;
		while (*word && *word != ' ')
			word++;
		while (*word == ' ')
			word++;
	}
	return NULL;
}

u64 arg_u64(const char *key, u64 otherwise)
{
	const char *s = arg_find(key);
	u64 v = 0;

	if (!s || *s < '0' || *s > '9')
		return otherwise;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (u64)(*s - '0');
	return v;
}

bool arg_is(const char *key, const char *value)
{
	const char *s = arg_find(key);

	while (s && *value && *s == *value) {
		s++;
		value++;
	}
	return s && !*value && (!*s || *s == ' ');
}

bool info_used(u64 start, u64 end)
{
	if (start < (u64)image_end && end > (u64)image_start)
		return true;
	for (unsigned int i = 0; i < boot.nr_used; i++) {
		if (start < boot.used[i].end && end > boot.used[i].start)
			return true;
	}
	return false;
}
