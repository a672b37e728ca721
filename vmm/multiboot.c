/* SPDX-License-Identifier: MIT */
/*
 * Reading guest images: Multiboot Specification version 0.6.96, "OS image
 * format", and the System V ABI, "Program Header". The image is hostile: every
 * number is checked before use, with subtractions that cannot wrap.
 */
#include "vmm/multiboot.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define HEADER_MAGIC  0x1badb002U
#define HEADER_WITHIN 8192 /* the header lies wholly in so many bytes */

/*
 * Bits 0 to 15 are demands. We meet: page-aligned modules, memory information.
 * Bit 2, a video mode, is taken for a wish: a guest here has a serial console.
 */
#define HEADER_REQUIRED	  0xffffU
#define HEADER_UNDERSTOOD 0x0007U
#define HEADER_ADDRESSES  BIT(16)

/* Fields of the header */
enum {
	AT_FLAGS = 4,
	AT_CHECKSUM = 8,
	AT_ADDRESSES = 12, /* where the header ends unless HEADER_ADDRESSES is set */
	AT_HEADER_ADDR = 12,
	AT_LOAD_ADDR = 16,
	AT_LOAD_END_ADDR = 20,
	AT_BSS_END_ADDR = 24,
	AT_ENTRY_ADDR = 28,
	AT_VIDEO = 32,
};

#define LIMIT_4G GiB(4)

struct image {
	const uint8_t *bytes;
	size_t len;
	char *why;
	size_t why_size;
};

/* Leaves the reason and returns @err. */
static __printf(3, 4) int refuse(const struct image *img, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(img->why, img->why_size, fmt, ap);
	va_end(ap);
	return err;
}

/* The little-endian number of @size bytes at @offset; the caller has checked that it is there. */
static uint64_t read_le(const struct image *img, uint64_t offset, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, img->bytes + offset, size);
	return v;
}

static uint32_t read_u32(const struct image *img, uint64_t offset)
{
	return (uint32_t)read_le(img, offset, 4);
}

/* Whether @size bytes at @offset lie in the file. */
static bool in_file(const struct image *img, uint64_t offset, uint64_t size)
{
	return offset <= img->len && size <= img->len - offset;
}

/* Adds a segment whose file part has been checked. */
static int add_segment(const struct image *img, struct image_plan *out,
		       const struct image_segment *s)
{
	uint32_t n = out->nr_segs;

	if (s->gpa.v >= LIMIT_4G || s->memsz > LIMIT_4G - s->gpa.v)
		return refuse(img, -EINVAL, "segment %u at 0x%lx does not end below 4 GiB", n,
			      s->gpa.v);
	if (n == IMAGE_SEGMENTS_MAX)
		return refuse(img, -EINVAL, "more than %u segments", n);
	for (uint32_t i = 0; i < n; i++)
		if (ranges_overlap(s->gpa.v, s->memsz, out->seg[i].gpa.v, out->seg[i].memsz))
			return refuse(img, -EINVAL, "segment %u at 0x%lx overlaps segment %u", n,
				      s->gpa.v, i);
	out->seg[out->nr_segs++] = *s;
	return 0;
}

/* ---- ELF ---- */

#define ELF_MAGIC 0x464c457fU /* 7f 'E' 'L' 'F' */
#define ELF_IDENT 16

enum {
	ELF_TYPE_EXEC = 2,
	ELF_MACHINE_386 = 3,
	ELF_MACHINE_X86_64 = 62,
	ELF_PT_LOAD = 1,
};

/* The two layouts of an ELF file: where the fields are, and how wide (@word) most of them. */
static const struct elf_layout {
	uint8_t word, header_size, entry, phoff, phentsize, phnum;
	uint8_t ph_size, ph_offset, ph_vaddr, ph_paddr, ph_filesz, ph_memsz;
} elf_layouts[] = {
	{ 4, 52, 24, 28, 42, 44, 32, 4, 8, 12, 16, 20 },  /* ELFCLASS32 = 1 */
	{ 8, 64, 24, 32, 54, 56, 56, 8, 16, 24, 32, 40 }, /* ELFCLASS64 = 2 */
};

struct elf {
	const struct elf_layout *layout;
	uint64_t phoff, phnum;
	uint64_t e_entry; /* as the file has it */
	uint64_t entry;	  /* as gpa; LIMIT_4G: not found */
};

/* Checks the header and reads what we need of it. */
static int elf_header(const struct image *img, struct elf *elf)
{
	const struct elf_layout *l;
	uint32_t class, machine, type;

	if (!in_file(img, 0, ELF_IDENT))
		return refuse(img, -EINVAL, "truncated ELF header");
	class = img->bytes[4];
	if (class - 1 >= ARRAY_SIZE(elf_layouts))
		return refuse(img, -EINVAL, "unknown ELF class %u", class);
	elf->layout = l = &elf_layouts[class - 1];
	if (!in_file(img, 0, l->header_size))
		return refuse(img, -EINVAL, "truncated ELF header");
	if (img->bytes[5] != 1 || img->bytes[6] != 1)
		return refuse(img, -EINVAL, "not a little-endian ELF of version 1");
	type = (uint32_t)read_le(img, 16, 2);
	machine = (uint32_t)read_le(img, 18, 2);
	if (type != ELF_TYPE_EXEC)
		return refuse(img, -EINVAL, "ELF of type %u is not a linked program (type 2)",
			      type);
	if (machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64)
		return refuse(img, -EINVAL, "ELF for machine %u, neither i386 nor x86-64", machine);

	elf->e_entry = read_le(img, l->entry, l->word);
	elf->phoff = read_le(img, l->phoff, l->word);
	elf->phnum = read_le(img, l->phnum, 2);
	if (elf->phnum && read_le(img, l->phentsize, 2) != l->ph_size)
		return refuse(img, -EINVAL, "ELF program headers of %lu bytes, not %u",
			      read_le(img, l->phentsize, 2), l->ph_size);
	if (!in_file(img, elf->phoff, elf->phnum * l->ph_size))
		return refuse(img, -EINVAL,
			      "truncated ELF: %lu program headers at 0x%lx, file ends at 0x%lx",
			      elf->phnum, elf->phoff, img->len);
	return 0;
}

/* Adds the PT_LOAD whose program header stands at @ph, and looks for the entry in it. */
static int elf_load(const struct image *img, struct elf *elf, uint64_t ph, struct image_plan *out)
{
	const struct elf_layout *l = elf->layout;
	uint64_t vaddr = read_le(img, ph + l->ph_vaddr, l->word);
	struct image_segment s = {
		.gpa = GPA(read_le(img, ph + l->ph_paddr, l->word)),
		.offset = read_le(img, ph + l->ph_offset, l->word),
		.filesz = read_le(img, ph + l->ph_filesz, l->word),
		.memsz = read_le(img, ph + l->ph_memsz, l->word),
	};
	uint32_t n = out->nr_segs;

	if (s.memsz < s.filesz)
		return refuse(img, -EINVAL, "segment %u has 0x%lx bytes in the file, 0x%lx in RAM",
			      n, s.filesz, s.memsz);
	if (s.memsz == 0)
		return 0;
	if (s.filesz == 0) /* the offset of a bss may lie behind the file's end */
		s.offset = 0;
	if (!in_file(img, s.offset, s.filesz))
		return refuse(
			img, -EINVAL,
			"truncated ELF: segment %u has 0x%lx bytes at 0x%lx, file ends at 0x%lx", n,
			s.filesz, s.offset, img->len);
	/* An entry below vaddr wraps to a huge difference. The first segment counts. */
	if (elf->entry == LIMIT_4G && elf->e_entry - vaddr < s.memsz)
		elf->entry = elf->e_entry - vaddr + s.gpa.v;
	return add_segment(img, out, &s);
}

/*
 * The entry is virtual: a kernel linked to the upper half has it there, and the
 * segment's physical address says where that is (GRUB does the same). Some
 * linker scripts make it physical instead; taken so if it is no virtual address.
 */
static int elf_parse(const struct image *img, struct image_plan *out)
{
	struct elf elf = { .entry = LIMIT_4G };
	int err = elf_header(img, &elf);

	/* At most 65535 rounds; add_segment() ends it after 16 segments. */
	for (uint64_t i = 0; i < elf.phnum && !err; i++) {
		uint64_t ph = elf.phoff + i * elf.layout->ph_size;

		if (read_u32(img, ph) == ELF_PT_LOAD)
			err = elf_load(img, &elf, ph, out);
	}
	if (err)
		return err;
	if (out->nr_segs == 0)
		return refuse(img, -EINVAL, "ELF without a segment to load");
	for (uint32_t i = 0; i < out->nr_segs && elf.entry == LIMIT_4G; i++)
		if (elf.e_entry - out->seg[i].gpa.v < out->seg[i].memsz)
			elf.entry = elf.e_entry;
	if (elf.entry == LIMIT_4G)
		return refuse(img, -EINVAL, "entry 0x%lx lies in no segment", elf.e_entry);
	out->entry = (uint32_t)elf.entry;
	return 0;
}

/* ---- load addresses in the header ---- */

/* "The address fields of Multiboot header": they win over an ELF header. */
static int addresses_parse(const struct image *img, uint64_t header, struct image_plan *out)
{
	uint64_t header_addr = read_u32(img, header + AT_HEADER_ADDR);
	uint64_t load = read_u32(img, header + AT_LOAD_ADDR);
	uint64_t load_end = read_u32(img, header + AT_LOAD_END_ADDR);
	uint64_t bss_end = read_u32(img, header + AT_BSS_END_ADDR);
	uint64_t entry = read_u32(img, header + AT_ENTRY_ADDR);
	struct image_segment s = { .gpa = GPA(load) };

	if (load > header_addr || header_addr - load > header)
		return refuse(img, -EINVAL,
			      "load_addr 0x%lx does not fit header_addr 0x%lx, which is at 0x%lx",
			      load, header_addr, header);
	s.offset = header - (header_addr - load);
	if (load_end == 0) /* the whole file */
		load_end = load + (img->len - s.offset);
	if (load_end <= load)
		return refuse(img, -EINVAL, "load_end_addr 0x%lx is not above load_addr 0x%lx",
			      load_end, load);
	s.filesz = load_end - load;
	if (!in_file(img, s.offset, s.filesz))
		return refuse(img, -EINVAL,
			      "truncated image: 0x%lx bytes at 0x%lx, file ends at 0x%lx", s.filesz,
			      s.offset, img->len);
	if (bss_end == 0) /* no bss */
		bss_end = load_end;
	if (bss_end < load_end)
		return refuse(img, -EINVAL, "bss_end_addr 0x%lx is below the data's end 0x%lx",
			      bss_end, load_end);
	s.memsz = bss_end - load;
	if (entry - load >= s.memsz)
		return refuse(img, -EINVAL, "entry_addr 0x%lx is not in 0x%lx-0x%lx", entry, load,
			      bss_end);
	out->entry = (uint32_t)entry;
	return add_segment(img, out, &s);
}

/* ---- both ---- */

/* Whether @size bytes of a header at @offset lie where a header may lie. */
static bool header_fits(const struct image *img, uint64_t offset, uint64_t size)
{
	return offset + size <= MIN(img->len, HEADER_WITHIN);
}

/*
 * The first header with a good checksum; *@bad is set to the first magic number
 * with a bad one, which can be data of the program.
 */
static bool header_find(const struct image *img, uint64_t *at, uint64_t *bad)
{
	for (uint64_t i = 0; header_fits(img, i, AT_ADDRESSES); i += 4) {
		uint32_t magic = read_u32(img, i);

		if (magic != HEADER_MAGIC)
			continue;
		*at = i;
		if (magic + read_u32(img, i + AT_FLAGS) + read_u32(img, i + AT_CHECKSUM) == 0)
			return true;
		*bad = MIN(*bad, i);
	}
	return false;
}

int image_parse(const void *image, size_t len, struct image_plan *out, char *why, size_t why_size)
{
	struct image img = { .bytes = image, .len = len, .why = why, .why_size = why_size };
	uint64_t header = 0, bad = HEADER_WITHIN;
	uint32_t flags;

	*out = (struct image_plan){ 0 };
	if (!header_find(&img, &header, &bad)) {
		if (bad != HEADER_WITHIN)
			return refuse(&img, -EINVAL, "Multiboot header at 0x%lx: wrong checksum",
				      bad);
		return refuse(&img, -ENOEXEC,
			      "no known image format (a Multiboot ELF is expected)");
	}
	flags = read_u32(&img, header + AT_FLAGS);
	if (flags & HEADER_REQUIRED & ~HEADER_UNDERSTOOD)
		return refuse(&img, -EINVAL, "Multiboot header demands unknown features 0x%x",
			      flags & HEADER_REQUIRED & ~HEADER_UNDERSTOOD);
	if (flags & HEADER_ADDRESSES) {
		if (!header_fits(&img, header, AT_VIDEO))
			return refuse(&img, -EINVAL, "truncated Multiboot header at 0x%lx", header);
		return addresses_parse(&img, header, out);
	}
	/* A header of 12 bytes precedes: the file is long enough for the magic number. */
	if (read_u32(&img, 0) == ELF_MAGIC)
		return elf_parse(&img, out);
	return refuse(&img, -ENOEXEC, "Multiboot image that is no ELF and has no load addresses");
}
