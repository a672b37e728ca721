/* SPDX-License-Identifier: MIT */
/*
 * Linux kernels as bzImage: "The Linux/x86 Boot Protocol" and "Zero Page" in the kernel's documentation, version 2.10
 * (2009) and later. Entered by the 32-bit protocol, which 64-bit kernels have as well: it needs no page tables. Pure
 * planning on untrusted bytes, as vmm/multiboot.h; the caller copies what the plan says.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "mm/addr.h"
#include "vmm/mbi.h"

struct bzimage_plan {
	gpa_t start;	      /* of the kernel, and its entry; below 4 GiB with all that follows */
	uint64_t offset, len; /* of the kernel in the file */
	uint64_t needs; /* bytes of RAM from start on, where it unpacks itself; at least len */
	uint64_t initrd_limit; /* an initrd ends here or below */
	uint32_t cmdline_max;  /* characters */
	uint32_t header_len;   /* of the setup header */
};

/* What a kernel is told and given. */
struct bzimage_boot {
	const struct guest_ram
		*ram; /* ascending, disjoint, without 0xa0000-0xfffff; the first begins at 0 */
	uint32_t nr_ram;
	const char *cmdline;
	uint64_t initrd_len; /* 0: none */
	gpa_t initrd;	     /* chosen by bzimage_place() */
};

/* Where the block of bzimage_build() goes, and the GDT in it. */
#define BZIMAGE_INFO	 0x9000UL
#define BZIMAGE_GDT	 0xa000UL
#define BZIMAGE_GDT_SIZE 32
#define BZIMAGE_CS	 0x10
#define BZIMAGE_DS	 0x18

/* Whether it is one, good or bad. */
bool bzimage_is(const void *image, size_t len);

/* -EINVAL: broken, too old, or of a kind that we cannot start; @why has one line (IMAGE_WHY_SIZE). */
int bzimage_parse(const void *image, size_t len, struct bzimage_plan *out, char *why,
		  size_t why_size) __must_check;

/*
 * Checks that all fits into the RAM of @boot, and chooses the initrd's place: as high as it may be. -ERANGE if
 * not, -EINVAL if the command line is longer than the kernel takes; @why says so.
 */
int bzimage_place(const struct bzimage_plan *plan, struct bzimage_boot *boot, char *why,
		  size_t why_size) __must_check;

/* What shall stand at BZIMAGE_INFO: boot_params, a GDT, the command line. */
size_t bzimage_info_size(const struct bzimage_boot *boot);
/* Writes it to @buf of that size, zeroed. @image and @plan are those of bzimage_parse(). */
void bzimage_build(const void *image, const struct bzimage_plan *plan,
		   const struct bzimage_boot *boot, void *buf);
