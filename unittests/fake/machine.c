/* SPDX-License-Identifier: MIT */
/* See unittests/fake/machine.h. */
#include <stdio.h>
#include <stdlib.h>
#include "unittests/fake/machine.h"
#include "unittests/fake/mmu.h"
#include "asi/crossing.h"
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/trap.h"
#include "arch/world.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/memmap.h"

#define IMAGE (IMAGE_BASE + MiB(512)) /* its frames are no RAM: nobody looks at them */
#define WINDOW(name, at, pages, prot, restricted)                                               \
	{                                                                                       \
		name, (const char *)(IMAGE + (at)*PAGE_SIZE),                                   \
			(const char *)(IMAGE + ((at) + (pages)) * PAGE_SIZE), prot, restricted, \
			!(restricted)                                                           \
	}

static const struct image_window windows[FAKE_WINDOWS] = {
	[FAKE_TEXT] = WINDOW("text", 0, 3, PROT_RX, true),
	[FAKE_RODATA] = WINDOW("rodata", 3, 2, PROT_R, true),
	[FAKE_NONSENSITIVE] = WINDOW("nonsensitive data", 5, 2, PROT_RW, true),
	[FAKE_DATA] = WINDOW("data", 7, 4, PROT_RW, false),
};

/* Two banks in different GiB; the ends of the first are no whole pageblocks. */
struct memrange fake_banks[2] = {
	{ MiB(1), MiB(49) },
	{ GiB(1), GiB(1) + MiB(16) },
};

static const uint64_t slots[] = { PAGE_ARRAY_BASE,     VMALLOC_SENSITIVE_BASE,
				  VMALLOC_GLOBAL_BASE, VMALLOC_LOCAL_BASE,
				  PERCPU_BASE,	       PERCPU_SENSITIVE_BASE,
				  DEVICE_BASE };

static struct ptable host;
struct mem_owner fake_owners[FAKE_OWNERS];
char *fake_thread_pointer[CPUS_MAX];
uint64_t fake_active = 1;
void (*fake_kick)(uint32_t cpu);
uint64_t fake_core = 1;
uint32_t fake_nr_cpus = 1;
unsigned int fake_console_lines;
uint64_t fake_tsc;
uint32_t trap_depth;

const struct image_window *hostmap_window(unsigned int i)
{
	return i < FAKE_WINDOWS ? &windows[i] : NULL;
}

struct ptable *hostmap_ptable(void)
{
	return &host;
}

uint64_t hostmap_cr3(void)
{
	return host.root.v;
}

__attribute__((constructor)) static void cpus_init(void)
{
	fake_thread_pointer[0] = __builtin_thread_pointer();
}

uint64_t cpus_active(void)
{
	return fake_active;
}

void cpu_kick(uint32_t cpu)
{
	ASSERT(fake_active & BIT(cpu));
	if (fake_kick)
		fake_kick(cpu);
}

uint32_t cpus_nr(void)
{
	return fake_nr_cpus;
}

uint64_t cpu_siblings(uint32_t cpu)
{
	return fake_core & BIT(cpu) ? fake_core : BIT(cpu);
}

uint32_t cpu_thread(uint32_t cpu)
{
	return bits_count(cpu_siblings(cpu) & (BIT(cpu) - 1));
}

/* Nobody stops the world here. */
void world_yield(void)
{
}

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
	fake_console_lines++;
}

static void require(int err)
{
	if (err)
		abort();
}

static void map(struct ptable *pt, uint64_t va, uint64_t hpa, uint64_t len, unsigned int level,
		unsigned int prot)
{
	require(ptable_prepare(pt, va, len, level));
	ptable_map(pt, va, HPA(hpa), len, level, prot);
}

void fake_map(struct ptable *pt, uint64_t va, uint64_t hpa, unsigned int prot)
{
	map(pt, va, hpa, PAGE_SIZE, 0, prot);
}

uint64_t *fake_entry(const struct ptable *pt, uint64_t va, unsigned int level)
{
	hpa_t table = pt->root;

	for (unsigned int l = PT_LEVELS - 1;; l--) {
		uint64_t *entry = hpa_to_direct(table);

		entry += va >> (PAGE_SHIFT + 9 * l) & 511;
		if (l == level)
			return entry;
		ASSERT(*entry & PTE_P && !(l < PT_LEVELS - 1 && *entry & PTE_PS));
		table = HPA(*entry & PTE_ADDR_MASK);
	}
}

static void map_host(void)
{
	require(ptable_init(&host, &pt_host_format, SENSITIVE, NULL));
	for (unsigned int i = 0; i < FAKE_WINDOWS; i++)
		map(&host, (uint64_t)windows[i].start, (uint64_t)windows[i].start - IMAGE_BASE,
		    (uint64_t)(windows[i].end - windows[i].start), 0, windows[i].prot);
	for (unsigned int i = 0; i < ARRAY_SIZE(fake_banks); i++) {
		uint64_t start = ALIGN_DOWN(fake_banks[i].start, PAGE_SIZE_2M);

		map(&host, DIRECTMAP_BASE + start, start,
		    ALIGN_UP(fake_banks[i].end, PAGE_SIZE_2M) - start, 1, PROT_RW);
	}
	ptable_share(&host, LOCALMAP_BASE, &host, DIRECTMAP_BASE, PT_LEVELS - 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		require(ptable_prepare(&host, slots[i], 1, 2));
	fake_map(&host, PAGE_ARRAY_BASE, MiB(600), PROT_RW);
	fake_map(&host, PERCPU_BASE, MiB(601), PROT_RW);
	fake_map(&host, PERCPU_SENSITIVE_BASE, MiB(602), PROT_RW);
	fake_map(&host, DEVICE_BASE, FAKE_DEVICE_HPA, PROT_RW | PROT_UC);
}

/* For crossings: what they met is told by a test of its own (test_asi_crossing.c). */
uint64_t fake_tsc;

uint64_t asi_describe(uint64_t va, char *buf, size_t size)
{
	snprintf(buf, size, "0x%lx", va);
	return 0;
}

int fake_machine_setup(void **state)
{
	(void)state;
	ptable_use_buddy();
	for (unsigned int i = 0; i < ARRAY_SIZE(fake_banks); i++) {
		require(memmap_add(fake_banks[i].start, fake_banks[i].end - fake_banks[i].start));
		buddy_add(HPA(fake_banks[i].start), HPA(fake_banks[i].end));
	}
	map_host();
	fake_mmu_reset(true, hostmap_cr3());
	asi_init(true);
	/* What each owner leaves for good is made now: tests then count every page. */
	for (unsigned int i = 0; i < FAKE_OWNERS; i++) {
		struct asi *asi;

		mem_owner_init(&fake_owners[i],
			       (uint16_t)(i == FAKE_OWNERS - 1 ? OWNER_MAX : i + 1));
		require(asi_create(ASI_GUEST_VM, &fake_owners[i], &asi));
		asi_put(asi);
	}
	return 0;
}
