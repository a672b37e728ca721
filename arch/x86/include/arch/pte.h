/* SPDX-License-Identifier: MIT */
/*
 * The two entry formats that mm/ptable.c walks, as data: x86-64 paging (SDM,
 * "4-level paging and 5-level paging") and EPT (SDM, "EPT translation mechanism").
 */
#pragma once
#include <stdint.h>

/* What a mapping allows; translated into entry bits by the format. */
#define PROT_R	 0x1u
#define PROT_W	 0x2u
#define PROT_X	 0x4u
#define PROT_UC	 0x8u /* device memory: uncached */
#define PROT_RW	 (PROT_R | PROT_W)
#define PROT_RX	 (PROT_R | PROT_X)
#define PROT_RWX (PROT_R | PROT_W | PROT_X)

#define PTE_P	      0x001ULL
#define PTE_W	      0x002ULL
#define PTE_U	      0x004ULL
#define PTE_PWT	      0x008ULL
#define PTE_PCD	      0x010ULL
#define PTE_A	      0x020ULL
#define PTE_D	      0x040ULL
#define PTE_PS	      0x080ULL
#define PTE_G	      0x100ULL
#define PTE_NX	      (1ULL << 63)
#define PTE_ADDR_MASK 0x000ffffffffff000ULL

#define EPTE_R	0x1ULL
#define EPTE_W	0x2ULL
#define EPTE_X	0x4ULL
#define EPTE_WB (6ULL << 3) /* memory type of a leaf */
#define EPTE_PS 0x80ULL
#define EPTE_A	0x100ULL
#define EPTE_D	0x200ULL

/*
 * An absent entry holds no frame: every address bit is set, far above any RAM.
 * Zero would be a frame number too, frame 0 (L1TF: an absent entry's address
 * bits are used for speculative L1D lookups).
 */
#define PTE_ABSENT PTE_ADDR_MASK

struct pt_format {
	uint64_t present;	  /* an entry with any of these bits set is in use */
	uint64_t table;		  /* flags of an entry that points to a lower table */
	uint64_t leaf;		  /* flags that every leaf has */
	uint64_t large;		  /* flag of a leaf above level 0 */
	uint64_t volatile_bits;	  /* set by the CPU: left out when entries are compared */
	uint64_t r, w, x, nx, uc; /* what each PROT_ bit adds; nx is added without PROT_X */
};

static const struct pt_format pt_host_format = {
	.present = PTE_P,
	.table = PTE_P | PTE_W | PTE_A,
	.leaf = PTE_P | PTE_A, /* A and D set beforehand: the CPU then never writes a table */
	.large = PTE_PS,
	.volatile_bits = PTE_A | PTE_D,
	.w = PTE_W | PTE_D,
	.nx = PTE_NX,
	.uc = PTE_PCD | PTE_PWT,
};

static const struct pt_format pt_ept_format = {
	.present = EPTE_R | EPTE_W | EPTE_X,
	.table = EPTE_R | EPTE_W | EPTE_X,
	.leaf = EPTE_WB,
	.large = EPTE_PS,
	.volatile_bits = EPTE_A | EPTE_D,
	.r = EPTE_R,
	.w = EPTE_W,
	.x = EPTE_X,
};
