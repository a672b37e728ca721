/* SPDX-License-Identifier: MIT */
/* Building and changing the unrestricted address space. Metadata: mm/metadata.c. */
#include "mm/hostmap.h"
#include "arch/cpu.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/percpu_area.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "mm/buddy.h"
#include "mm/memmap.h"
#include "mm/metadata.h"
#include "mm/percpu.h"
#include "mm/quarantine.h"
#include "mm/vmalloc.h"

extern const char __text_start[], __text_end[], __rodata_start[], __rodata_end[];
extern const char __nonsensitive_start[], __nonsensitive_end[], __percpu_end[];
extern const char __data_start[], __data_end[], __init_text_start[], __init_text_end[];
extern const char __init_data_start[], __init_data_end[], __symbols_start[], __symbols_end[];

/* The last column is the ASI policy for the image: nothing else of it is mapped restricted. */
static const struct image_window windows[] = {
	{ "text", __text_start, __text_end, PROT_RX, true, false },
	{ "rodata", __rodata_start, __rodata_end, PROT_R, true, false },
	{ "nonsensitive data", __nonsensitive_start, __nonsensitive_end, PROT_RW, true, false },
	{ "per-CPU template", __percpu_start, __percpu_end, PROT_RW, false, false },
	{ "data", __data_start, __data_end, PROT_RW, false, true },
	{ "init text", __init_text_start, __init_text_end, PROT_RX, false, false },
	{ "init data", __init_data_start, __init_data_end, PROT_RW, false, false },
	{ "symbols", __symbols_start, __symbols_end, PROT_R, false, false },
};
#define FIRST_INIT_WINDOW 5
#define LAST_INIT_WINDOW  6

/* Slots whose tables below the root are shared with every restricted space. */
static const uint64_t shared_slots[] = { PAGE_ARRAY_BASE, VMALLOC_GLOBAL_BASE, PERCPU_BASE,
					 DEVICE_BASE };
/* Slots of the unrestricted space alone. */
static const uint64_t own_slots[] = { VMALLOC_SENSITIVE_BASE, VMALLOC_LOCAL_BASE,
				      PERCPU_SENSITIVE_BASE };

static struct ptable host;
static bool ready;
static uint64_t next_device = DEVICE_BASE;
static __nonsensitive uint64_t host_cr3;

static hpa_t image_hpa(const char *p)
{
	return HPA((uint64_t)p - IMAGE_BASE);
}

const struct image_window *hostmap_window(unsigned int i)
{
	return i < ARRAY_SIZE(windows) ? &windows[i] : NULL;
}

struct ptable *hostmap_ptable(void)
{
	return &host;
}

uint64_t hostmap_cr3(void)
{
	return host_cr3;
}

/* Maps a range with the largest leaves that its alignment allows. */
static int map_range(uint64_t va, uint64_t hpa, uint64_t len, unsigned int prot)
{
	unsigned int max_level = cpu_has_1g_pages() ? 2 : 1;

	while (len) {
		unsigned int level = max_level;
		uint64_t size;
		int err;

		while (!IS_ALIGNED(hpa, pt_level_size(level)) || len < pt_level_size(level))
			level--;
		size = pt_level_size(level);
		err = ptable_prepare(&host, va, size, level);
		if (err)
			return err;
		ptable_map(&host, va, HPA(hpa), size, level, prot);
		va += size;
		hpa += size;
		len -= size;
	}
	return 0;
}

/*
 * The direct map of a range of RAM. Text and read-only data are left out: a writable alias
 * of them would make W^X a matter of names.
 */
static int map_ram(uint64_t start, uint64_t end)
{
	uint64_t hole = image_hpa(__text_start).v, hole_end = image_hpa(__rodata_end).v;
	int err;

	if (end <= hole || start >= hole_end)
		return map_range(DIRECTMAP_BASE + start, start, end - start, PROT_RW);
	ASSERT(start <= hole && end >= hole_end);
	err = map_range(DIRECTMAP_BASE + start, start, hole - start, PROT_RW);
	return err ? err : map_range(DIRECTMAP_BASE + hole_end, hole_end, end - hole_end, PROT_RW);
}

static int map_everything(void)
{
	const struct memrange *r;
	int err = ptable_init(&host, &pt_host_format, SENSITIVE, NULL);

	for (unsigned int i = 0; !err && i < ARRAY_SIZE(windows); i++) {
		uint64_t va = (uint64_t)windows[i].start, len = (uint64_t)windows[i].end - va;

		if (!len)
			continue;
		err = ptable_prepare(&host, va, len, 0);
		if (!err)
			ptable_map(&host, va, image_hpa(windows[i].start), len, 0, windows[i].prot);
	}
	for (unsigned int i = 0; !err && (r = memmap_ram(i)); i++)
		err = map_ram(r->start, r->end);
	/* Tables below the roots' slots, so that no root entry changes later. */
	for (unsigned int i = 0; !err && i < PHYS_SLOTS; i++)
		err = ptable_prepare(&host, DIRECTMAP_BASE + i * PML4_SLOT_SIZE, 1, 2);
	for (unsigned int i = 0; !err && i < ARRAY_SIZE(shared_slots); i++)
		err = ptable_prepare(&host, shared_slots[i], 1, 2);
	for (unsigned int i = 0; !err && i < ARRAY_SIZE(own_slots); i++)
		err = ptable_prepare(&host, own_slots[i], 1, 2);
	if (err)
		return err;
	/* The second alias of RAM costs nothing: the same tables under other root entries. */
	for (unsigned int i = 0; i < PHYS_SLOTS; i++)
		ptable_share(&host, LOCALMAP_BASE + i * PML4_SLOT_SIZE, &host,
			     DIRECTMAP_BASE + i * PML4_SLOT_SIZE, PT_LEVELS - 1);
	return 0;
}

void hostmap_init(void)
{
	if (map_everything())
		panic("not enough memory below 4 GiB for the page tables");
	host_cr3 = host.root.v;
	write_cr3(host_cr3);
	ready = true;
	if (metadata_init(&host))
		panic("not enough memory for the page metadata");
}

/* Backs [@va, @va + @len) with fresh cleared memory. */
static int back_range(uint64_t va, uint64_t len)
{
	int err = ptable_prepare(&host, va, len, 0);

	for (uint64_t done = 0; !err && done < len; done += PAGE_SIZE) {
		hpa_t hpa = memmap_take(PAGE_SIZE, PAGE_SIZE, PHYS_LIMIT);

		if (hpa.v == HPA_NONE.v)
			return -ENOMEM;
		clear_words(hpa_to_direct(hpa), PAGE_SIZE);
		ptable_map(&host, va + done, hpa, PAGE_SIZE, 0, PROT_RW);
	}
	return err;
}

static int back_parts(uint64_t area, const struct percpu_part *parts, unsigned int nr)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < nr; i++)
		err = back_range(area + parts[i].offset, parts[i].size);
	return err;
}

int hostmap_add_cpu(uint32_t cpu)
{
	int err = back_parts(percpu_sensitive_area(cpu), percpu_sensitive_parts,
			     ARRAY_SIZE(percpu_sensitive_parts));

	if (!err)
		err = back_parts(percpu_area(cpu), percpu_parts, ARRAY_SIZE(percpu_parts));
	if (!err)
		percpu_add_cpu(cpu);
	return err;
}

void *hostmap_device(hpa_t hpa)
{
	uint64_t va = next_device;

	if (ptable_prepare(&host, va, PAGE_SIZE, 0))
		return NULL;
	ptable_map(&host, va, hpa, PAGE_SIZE, 0, PROT_RW | PROT_UC);
	next_device += PAGE_SIZE;
	return (void *)va;
}

void hostmap_free_init(void)
{
	for (unsigned int i = FIRST_INIT_WINDOW; i <= LAST_INIT_WINDOW; i++) {
		uint64_t va = (uint64_t)windows[i].start, len = (uint64_t)windows[i].end - va;

		unmap_flush(SENSITIVE, NULL, ptable_unmap(&host, va, len));
		buddy_add(image_hpa(windows[i].start), image_hpa(windows[i].end));
	}
}

/* Firmware memory is perhaps not RAM, so perhaps not in the direct map: what is missing is added. */
const void *hostmap_firmware(hpa_t hpa, uint64_t len)
{
	uint64_t first = ALIGN_DOWN(hpa.v, PAGE_SIZE), last;

	if (!len || hpa.v + len < hpa.v || hpa.v + len > PHYS_LIMIT)
		return NULL;
	last = ALIGN_DOWN(hpa.v + len - 1, PAGE_SIZE);
	for (uint64_t at = first; at <= last; at += PAGE_SIZE) {
		uint64_t va = DIRECTMAP_BASE + at;

		if (ptable_walk(&host, va).present)
			continue;
		if (ptable_prepare(&host, va, PAGE_SIZE, 0))
			return NULL;
		ptable_map(&host, va, HPA(at), PAGE_SIZE, 0, PROT_R);
	}
	return hpa_to_direct(hpa);
}

int hostmap_vmap(void *hva, const hpa_t *frames, size_t nr_pages)
{
	int err = ptable_prepare(&host, (uint64_t)hva, nr_pages * PAGE_SIZE, 0);

	for (size_t i = 0; !err && i < nr_pages; i++)
		ptable_map(&host, (uint64_t)hva + i * PAGE_SIZE, frames[i], PAGE_SIZE, 0, PROT_RW);
	return err;
}

void hostmap_vunmap(void *hva, size_t nr_pages)
{
	ptable_unmap(&host, (uint64_t)hva, nr_pages * PAGE_SIZE);
}

hpa_t hostmap_vlookup(const void *hva)
{
	struct pt_walk w = ptable_walk(&host, (uint64_t)hva);

	return w.present ? w.hpa : HPA_NONE;
}

bool panic_can_read(unsigned long hva)
{
	if (!ready)
		return hva >= IMAGE_BASE + IMAGE_PHYS && hva < (unsigned long)__symbols_end;
	return ptable_walk(&host, hva).present;
}

const char *hostmap_region(uint64_t va)
{
	static const struct {
		uint64_t base;
		const char *name;
	} regions[] = {
		{ DEVICE_BASE + PML4_SLOT_SIZE, "nothing" },
		{ DEVICE_BASE, "devices" },
		{ SELF_PAGE, "self page" },
		{ PERCPU_SENSITIVE_BASE, "per-CPU, sensitive" },
		{ PERCPU_BASE, "per-CPU, nonsensitive" },
		{ VMALLOC_LOCAL_BASE, "vmalloc, local" },
		{ VMALLOC_GLOBAL_BASE, "vmalloc, global" },
		{ VMALLOC_SENSITIVE_BASE, "vmalloc, sensitive" },
		{ PAGE_ARRAY_BASE, "page metadata" },
		{ LOCALMAP_BASE, "local window" },
		{ DIRECTMAP_BASE, "direct map" },
	};

	if (va >= IMAGE_BASE)
		return "image";
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++)
		if (va >= regions[i].base)
			return regions[i].name;
	return "nothing";
}
