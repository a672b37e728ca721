/* SPDX-License-Identifier: MIT */
/*
 * The boot information that a Multiboot guest finds at EBX, built in a buffer of
 * the hypervisor. What boot/bootinfo.h reads is another matter: our own loader's.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "mm/addr.h"

#define MBI_ENTRY_EAX 0x2badb002 /* EAX at the guest's entry */

/* A range of guest RAM. */
struct guest_ram {
	gpa_t start;
	uint64_t len;
};

struct guest_module {
	gpa_t start; /* chosen by image_place() */
	uint64_t len;
	const char *cmdline; /* never NULL */
};

/* What a guest is told and given. Lives as long as the calls that take it. */
struct guest_boot {
	const char *name;	     /* the first word of the guest's command line */
	const char *args;	     /* the rest; may be "", never NULL */
	const struct guest_ram *ram; /* ascending, disjoint, without 0xa0000-0xfffff */
	uint32_t nr_ram;
	struct guest_module *modules;
	uint32_t nr_modules;
};

/* The length of the boot information. */
size_t mbi_size(const struct guest_boot *in);

/*
 * Writes to @buf what shall stand at @at in the guest, *@len bytes. -E2BIG: more
 * than @size; -ERANGE: it or a module reaches behind 4 GiB.
 */
int mbi_build(const struct guest_boot *in, gpa_t at, void *buf, size_t size,
	      size_t *len) __must_check;
