/* SPDX-License-Identifier: MIT */
/*
 * The unrestricted address space: image, direct map, local window, metadata, per-CPU
 * areas, vmalloc and devices. Provides what panic.h, vmalloc.h and acpi.h REQUIRE.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "mm/ptable.h"

/* A part of the image, with the one column that is the ASI policy for it. */
struct image_window {
	const char *name;
	const char *start, *end; /* page-aligned */
	unsigned int prot;
	bool restricted; /* in every restricted space too */
	bool exposable;	 /* may be, for an experiment (asi/expose.h) */
};
/* The i-th, NULL behind the last. */
const struct image_window *hostmap_window(unsigned int i);

/*
 * Builds the tables for all RAM that memmap knows and switches to them. Then page
 * metadata for all RAM, after which buddy_add may be called. Panics without memory: nothing can
 * run then.
 */
void hostmap_init(void);
/* Backs and maps both areas of @cpu. 0 or -ENOMEM. */
__must_check int hostmap_add_cpu(uint32_t cpu);
/* Maps a page of device registers, uncached; NULL if there is no memory. Visible in every space. */
void *hostmap_device(hpa_t hpa);
/*
 * A readable address for @len bytes of firmware memory, RAM or not; NULL if it cannot be had.
 */
const void *hostmap_firmware(hpa_t hpa, uint64_t len);
/* Unmaps the image's init parts and gives their pages to the buddy. */
void hostmap_free_init(void);

/* The tables themselves; the value of CR3 for them (PCID 0). */
struct ptable *hostmap_ptable(void);
uint64_t hostmap_cr3(void);

/* The name of the region of arch/layout.h that @va lies in: for reports. */
const char *hostmap_region(uint64_t va);
