/* SPDX-License-Identifier: MIT */
/*
 * Reading bzImages and writing boot_params. The image is hostile: every number is checked before use. Names of
 * fields are the documentation's.
 */
#include "vmm/bzimage.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define SECTOR	 512
#define LIMIT_4G GiB(4)

/* The setup header: in the image and in boot_params at the same place. */
#define HEADER_START 0x1f1
#define HEADER_JUMP  0x202 /* the byte before has the distance from here to the header's end */
#define HEADER_LIMIT 0x290 /* boot_params has something else from here on */

enum header_field {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	JUMP_LENGTH = 0x201,
	HEADER = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	CMDLINE_SIZE = 0x238,
	SETUP_DATA = 0x250,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END_2_10 = 0x264,
};

#define BOOT_FLAG_VALUE	 0xaa55
#define HEADER_MAGIC	 0x53726448 /* "HdrS" */
#define VERSION_MIN	 0x020a
#define SETUP_SECTS_OLD	 4 /* what 0 stands for */
#define LOADED_HIGH	 0x01
#define LOADER_UNDEFINED 0xff
#define SYSSIZE_UNIT	 16

/* Fields of boot_params outside of the header. */
#define PARAMS_SIZE	0x1000
#define PARAMS_E820_NR	0x1e8
#define PARAMS_E820	0x2d0
#define PARAMS_E820_MAX 128
#define E820_RAM	1
#define E820_RESERVED	2

#define HOLE_START KiB(640)
#define HOLE_END   MiB(1)

struct e820_entry {
	uint64_t addr, len;
	uint32_t type;
} __packed;
_Static_assert(sizeof(struct e820_entry) == 20, "as specified");

static __printf(4, 5) int refuse(char *why, size_t why_size, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(why, why_size, fmt, ap);
	va_end(ap);
	return err;
}

/* A little-endian field of @size bytes. The caller has checked that it is there. */
static uint64_t field(const uint8_t *image, enum header_field at, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, image + at, size);
	return v;
}

bool bzimage_is(const void *image, size_t len)
{
	return len >= VERSION + 2 && field(image, BOOT_FLAG, 2) == BOOT_FLAG_VALUE &&
	       field(image, HEADER, 4) == HEADER_MAGIC;
}

/* What is in the file, and where. */
static int parse_sizes(const uint8_t *image, size_t len, struct bzimage_plan *out, char *why,
		       size_t why_size)
{
	uint64_t sects = field(image, SETUP_SECTS, 1),
		 size = field(image, SYSSIZE, 4) * SYSSIZE_UNIT;
	uint64_t header_end = HEADER_JUMP + field(image, JUMP_LENGTH, 1);

	if (header_end < HEADER_END_2_10 || header_end > HEADER_LIMIT)
		return refuse(why, why_size, -EINVAL, "bzImage: a setup header that ends at 0x%lx",
			      header_end);
	out->header_len = (uint32_t)header_end - HEADER_START;
	out->offset = ((sects ? sects : SETUP_SECTS_OLD) + 1) * SECTOR;
	if (out->offset >= len)
		return refuse(
			why, why_size, -EINVAL,
			"truncated bzImage: the kernel begins at 0x%lx, the file ends at 0x%lx",
			out->offset, len);
	/* The size is rounded up, the file is not; something may follow, a signature. */
	out->len = MIN(size, len - out->offset);
	if (!size || size - out->len >= SYSSIZE_UNIT)
		return refuse(
			why, why_size, -EINVAL,
			"truncated bzImage: 0x%lx bytes of kernel at 0x%lx, the file ends at 0x%lx",
			size, out->offset, len);
	return 0;
}

int bzimage_parse(const void *image, size_t len, struct bzimage_plan *out, char *why,
		  size_t why_size)
{
	uint64_t version, init_size;
	int err;

	*out = (struct bzimage_plan){ 0 };
	if (len < HEADER_LIMIT)
		return refuse(why, why_size, -EINVAL, "truncated bzImage header");
	version = field(image, VERSION, 2);
	if (version < VERSION_MIN)
		return refuse(why, why_size, -EINVAL, "boot protocol %lu.%02lu is older than 2.10",
			      version >> 8, version & 0xff);
	if (!(field(image, LOADFLAGS, 1) & LOADED_HIGH))
		return refuse(why, why_size, -EINVAL,
			      "a zImage, which is loaded low, is not supported");
	err = parse_sizes(image, len, out, why, why_size);
	if (err)
		return err;
	/* A kernel that can be moved moves itself to this address too, if it is loaded below. */
	out->start = GPA(field(image, PREF_ADDRESS, 8));
	init_size = field(image, INIT_SIZE, 4);
	out->needs = MAX(init_size, out->len);
	if (out->start.v < HOLE_END || out->start.v >= LIMIT_4G ||
	    out->needs > LIMIT_4G - out->start.v)
		return refuse(
			why, why_size, -EINVAL,
			"bzImage: a kernel at 0x%lx of 0x%lx bytes is not between 1 MiB and 4 GiB",
			out->start.v, out->needs);
	out->initrd_limit = field(image, INITRD_ADDR_MAX, 4) + 1;
	out->cmdline_max = (uint32_t)field(image, CMDLINE_SIZE, 4);
	return 0;
}

/* The highest page in the RAM from which on @len bytes end at or below @limit, @from at the lowest; 0: none. */
static uint64_t highest_room(const struct bzimage_boot *boot, uint64_t from, uint64_t limit,
			     uint64_t len)
{
	for (uint32_t i = boot->nr_ram; i--;) {
		uint64_t start = MAX(boot->ram[i].start.v, from);
		uint64_t end = MIN(boot->ram[i].start.v + boot->ram[i].len, limit);
		uint64_t at = end >= len ? ALIGN_DOWN(end - len, PAGE_SIZE) : 0;

		if (end > start && at >= start)
			return at;
	}
	return 0;
}

static bool is_ram(const struct bzimage_boot *boot, uint64_t start, uint64_t len)
{
	for (uint32_t i = 0; i < boot->nr_ram; i++) {
		const struct guest_ram *r = &boot->ram[i];

		if (start >= r->start.v && start - r->start.v < r->len &&
		    len <= r->len - (start - r->start.v))
			return true;
	}
	return false;
}

int bzimage_place(const struct bzimage_plan *plan, struct bzimage_boot *boot, char *why,
		  size_t why_size)
{
	uint64_t end = plan->start.v + plan->needs, limit = MIN(plan->initrd_limit, LIMIT_4G);
	uint64_t needed = DIV_ROUND_UP(ALIGN_UP(end, PAGE_SIZE) + boot->initrd_len, MiB(1));
	size_t cmdline = strlen(boot->cmdline);

	if (cmdline > plan->cmdline_max)
		return refuse(why, why_size, -EINVAL,
			      "a command line of %lu characters: this kernel takes %u", cmdline,
			      plan->cmdline_max);
	if (!is_ram(boot, BZIMAGE_INFO, bzimage_info_size(boot)))
		return refuse(why, why_size, -ERANGE,
			      "no room for a command line of %lu characters", cmdline);
	if (!is_ram(boot, plan->start.v, plan->needs))
		return refuse(why, why_size, -ERANGE,
			      "the kernel unpacks itself at 0x%lx-0x%lx, behind the guest's "
			      "memory: it needs %lu MiB",
			      plan->start.v, end - 1, needed);
	if (!boot->initrd_len)
		return 0;
	boot->initrd = GPA(highest_room(boot, end, limit, boot->initrd_len));
	if (!boot->initrd.v)
		boot->initrd = GPA(
			highest_room(boot, HOLE_END, MIN(limit, plan->start.v), boot->initrd_len));
	if (!boot->initrd.v)
		return refuse(why, why_size, -ERANGE,
			      "no room for an initrd of %lu KiB: the guest needs %lu MiB",
			      boot->initrd_len >> 10, needed);
	return 0;
}

#define INFO_GDT     (BZIMAGE_GDT - BZIMAGE_INFO)
#define INFO_CMDLINE (INFO_GDT + BZIMAGE_GDT_SIZE)
_Static_assert(INFO_GDT == PARAMS_SIZE, "the GDT stands right behind boot_params");

size_t bzimage_info_size(const struct bzimage_boot *boot)
{
	return INFO_CMDLINE + strlen(boot->cmdline) + 1;
}

static void put(uint8_t *params, unsigned int at, unsigned int size, uint64_t value)
{
	memcpy(params + at, &value, size);
}

static void put_e820(uint8_t *params, uint64_t addr, uint64_t len, uint32_t type)
{
	struct e820_entry entry = { addr, len, type };
	uint8_t nr = params[PARAMS_E820_NR];

	if (nr == PARAMS_E820_MAX)
		return;
	memcpy(params + PARAMS_E820 + nr * sizeof(entry), &entry, sizeof(entry));
	params[PARAMS_E820_NR]++;
}

/* The RAM, and in its place between it the hole. */
static void put_memory(uint8_t *params, const struct bzimage_boot *boot)
{
	for (uint32_t i = 0; i < boot->nr_ram; i++) {
		put_e820(params, boot->ram[i].start.v, boot->ram[i].len, E820_RAM);
		if (i == 0)
			put_e820(params, HOLE_START, HOLE_END - HOLE_START, E820_RESERVED);
	}
}

/*
 * Everything that the documentation does not tell a loader to fill in stays zero. No screen: the kernel then leaves
 * video memory alone.
 */
void bzimage_build(const void *image, const struct bzimage_plan *plan,
		   const struct bzimage_boot *boot, void *buf)
{
	static const uint64_t gdt[BZIMAGE_GDT_SIZE / 8] = {
		[BZIMAGE_CS / 8] = 0x00cf9b000000ffff, /* flat, 32 bits: execute and read */
		[BZIMAGE_DS / 8] = 0x00cf93000000ffff, /* read and write */
	};
	uint8_t *params = buf;

	memcpy(params + HEADER_START, (const uint8_t *)image + HEADER_START, plan->header_len);
	put(params, TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
	put(params, LOADFLAGS, 1, LOADED_HIGH);
	put(params, RAMDISK_IMAGE, 4, boot->initrd_len ? boot->initrd.v : 0);
	put(params, RAMDISK_SIZE, 4, boot->initrd_len);
	put(params, CMD_LINE_PTR, 4, BZIMAGE_INFO + INFO_CMDLINE);
	put(params, SETUP_DATA, 8, 0);
	put_memory(params, boot);
	memcpy(params + INFO_GDT, gdt, sizeof(gdt));
	memcpy(params + INFO_CMDLINE, boot->cmdline, strlen(boot->cmdline) + 1);
}
