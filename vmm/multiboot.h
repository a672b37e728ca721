/* SPDX-License-Identifier: MIT */
/*
 * Guest images: Multiboot (version 1) as ELF32, ELF64 or with load addresses in
 * the header (the "a.out kludge"). Pure planning on untrusted bytes; the caller
 * copies what the plan says, with its own checked functions.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "mm/addr.h"
#include "vmm/mbi.h"

#define IMAGE_SEGMENTS_MAX 16
#define IMAGE_WHY_SIZE	   128 /* holds every explanation */

/* The first @filesz bytes come from @offset of the file, the rest of @memsz is zero. */
struct image_segment {
	gpa_t gpa;
	uint64_t offset, filesz, memsz;
};

struct image_plan {
	struct image_segment seg[IMAGE_SEGMENTS_MAX]; /* disjoint, below 4 GiB, never empty */
	uint32_t nr_segs;			      /* at least one */
	uint32_t entry;				      /* in one of them */
};

/*
 * Makes a plan of the @len bytes at @image. -ENOEXEC: no format that we know;
 * -EINVAL: a broken image, or one that demands what we cannot do. Both leave one
 * line of reason in @why.
 */
int image_parse(const void *image, size_t len, struct image_plan *out, char *why,
		size_t why_size) __must_check;

/*
 * Checks that the plan fits into the RAM of @boot and chooses places that overlap
 * nothing: for the modules (their start is set) on page boundaries above the
 * image, and for the boot information, *@info, for mbi_build(). -ERANGE: it does
 * not fit; @why says what, and how much memory is needed.
 */
int image_place(const struct image_plan *plan, struct guest_boot *boot, gpa_t *info, char *why,
		size_t why_size) __must_check;
