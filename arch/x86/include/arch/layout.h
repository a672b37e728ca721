/* SPDX-License-Identifier: MIT */
/*
 * THE virtual memory map, shared by C, assembly and linker.ld. Every region owns
 * whole PML4 slots (512 GiB each), so that a root's entries are written once, at
 * boot or when a domain is made, and never change.
 *
 *   slot      region                      unrestricted      restricted
 *   256-271   direct map of all RAM       everything        GLOBAL blocks (one tree for all)
 *   272-287   local window, a 2nd alias   everything        the owner's LOCAL blocks
 *   288       page metadata               all               all
 *   289       vmalloc, sensitive          all               -
 *   290       vmalloc, global             all               all
 *   291       vmalloc, local              every owner's     the owner's own 1 GiB
 *   292       per-CPU, nonsensitive       all               all
 *   293       per-CPU, sensitive          all               -
 *   294       self page                   "unrestricted"    the domain's number
 *   295       devices (the local APIC)    all               all
 *   511       image, last 2 GiB           all               text, rodata, nonsensitive data
 */
#pragma once

#ifdef __ASSEMBLER__
#define UL(x) x
#else
#define UL(x) x##UL
#endif

#define PAGE_SHIFT   12
#define PAGE_SIZE    UL(0x1000)
#define PAGE_SIZE_2M UL(0x200000)
#define PAGE_SIZE_1G UL(0x40000000)

#define PML4_SLOT_SIZE UL(0x8000000000)

#define DIRECTMAP_BASE	       UL(0xffff800000000000)
#define LOCALMAP_BASE	       UL(0xffff880000000000)
#define PHYS_SLOTS	       16		 /* slots of the two regions above: 8 TiB of RAM */
#define PHYS_LIMIT	       UL(0x80000000000) /* RAM above it is left unused */
#define PAGE_ARRAY_BASE	       UL(0xffff900000000000) /* struct page by pfn */
#define PAGEBLOCK_ARRAY_BASE   UL(0xffff904000000000) /* struct pageblock by pfn >> 9, same slot */
#define VMALLOC_SENSITIVE_BASE UL(0xffff908000000000)
#define VMALLOC_GLOBAL_BASE    UL(0xffff910000000000)
#define VMALLOC_LOCAL_BASE     UL(0xffff918000000000)
#define VMALLOC_LOCAL_SIZE     PAGE_SIZE_1G /* of one owner; at BASE + owner * SIZE */
#define PERCPU_BASE	       UL(0xffff920000000000)
#define PERCPU_SENSITIVE_BASE  UL(0xffff928000000000)
#define PERCPU_STRIDE	       UL(0x40000)
#define PERCPU_DATA_SIZE       UL(0x8000) /* for what is declared __percpu, at the start of each area */
#define SELF_PAGE	       UL(0xffff930000000000)
#define DEVICE_BASE	       UL(0xffff938000000000)
#define IMAGE_BASE	       UL(0xffffffff80000000)

#define IMAGE_PHYS UL(0x200000) /* where GRUB loads us; linked at IMAGE_BASE + IMAGE_PHYS */

#define CPUS_MAX 64

#ifndef __ASSEMBLER__
#define PML4_SLOT(va) (((va) >> 39) & 511)
_Static_assert(PML4_SLOT(DIRECTMAP_BASE) == 256, "first slot of the upper half");
_Static_assert(PML4_SLOT(LOCALMAP_BASE) == PML4_SLOT(DIRECTMAP_BASE) + PHYS_SLOTS,
	       "the local window follows the direct map");
_Static_assert(PHYS_LIMIT == PHYS_SLOTS * PML4_SLOT_SIZE, "both windows reach as far");
_Static_assert(PML4_SLOT(PAGE_ARRAY_BASE) == PML4_SLOT(LOCALMAP_BASE) + PHYS_SLOTS &&
		       PML4_SLOT(PAGEBLOCK_ARRAY_BASE) == PML4_SLOT(PAGE_ARRAY_BASE),
	       "metadata has a slot of its own");
_Static_assert(PML4_SLOT(DEVICE_BASE) == 295 && PML4_SLOT(SELF_PAGE) == 294 &&
		       PML4_SLOT(PERCPU_SENSITIVE_BASE) == 293 && PML4_SLOT(PERCPU_BASE) == 292 &&
		       PML4_SLOT(VMALLOC_LOCAL_BASE) == 291,
	       "one slot each");
#endif
