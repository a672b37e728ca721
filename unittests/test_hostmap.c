/* SPDX-License-Identifier: MIT */
/*
 * mm/hostmap.c, included, with a small image of its own: the direct map of several machines has the
 * largest leaves that alignment and the CPU allow and splits for the image's text only; the image is
 * W^X; the tables of the shared slots exist; per-CPU areas stand between guards.
 */
#include <string.h>
#include "unittests/memory.h"
#include "unittests/fake/mmu.h"
#include "lib/assert.h"
#include "lib/errno.h"

/* The image, 19 pages; its addresses are those of this program. */
#define PART(name, pages)                                                                   \
	".globl " name "_start, " name "_end\n" name "_start: .skip " #pages "*4096\n" name \
	"_end:\n"
__asm__(".pushsection .data\n.balign 4096\n" PART("__text", 5) PART("__rodata", 3)
		PART("__nonsensitive", 2) PART("__percpu", 1) PART("image_data", 4)
			PART("__init_text", 2) PART("__init_data", 1)
				PART("__symbols", 1) ".popsection\n");
#define __data_start image_data_start /* the C library has such a name too */
#define __data_end   image_data_end

extern const char __text_start[];
static const uint64_t real_image_base = IMAGE_BASE;
static uint64_t image_base = (uint64_t)__text_start - IMAGE_PHYS;
#undef IMAGE_BASE
#define IMAGE_BASE image_base

#include "mm/hostmap.c"
#include "mm/memmap.c"

uint8_t fake_percpu[2][FAKE_PERCPU_CPUS][PERCPU_STRIDE];

#define IMAGE_PAGES 19

static bool has_1g, no_metadata;
static uint64_t flushed; /* pages: told to unmap_flush() */

void unmap_flush(enum mem_class class, const struct mem_owner *owner, uint64_t nr)
{
	assert_true(class == SENSITIVE && !owner);
	flushed += nr;
	ptable_note_flush(&host, nr);
}

bool cpu_has_1g_pages(void)
{
	return has_1g;
}

int metadata_init(struct ptable *pt)
{
	return pt == &host && !no_metadata ? 0 : -ENOMEM;
}

/* Each test starts a machine anew: nothing of the one before is in use. */
static void start(const struct memrange *ram, bool with_1g)
{
	memset(&all_ram, 0, sizeof(all_ram));
	memset(&free_ram, 0, sizeof(free_ram));
	taking = false;
	has_1g = with_1g;
	fake_mmu_reset(true, 0);
	for (; ram->end; ram++)
		assert_int_equal(memmap_add(ram->start, ram->end - ram->start), 0);
	assert_int_equal(memmap_reserve(IMAGE_PHYS, IMAGE_PAGES * PAGE_SIZE), 0);
	hostmap_init();
	assert_int_equal(fake_cr3, host.root.v);
	assert_int_equal(hostmap_cr3(), host.root.v);
	assert_ptr_equal(hostmap_ptable(), &host);
}

/* The largest leaf around @at that lies in [@start, @end). */
static unsigned int best_level(uint64_t at, uint64_t start, uint64_t end)
{
	unsigned int level = has_1g ? 2 : 1;

	for (; level; level--) {
		uint64_t first = ALIGN_DOWN(at, pt_level_size(level));

		if (first >= start && first + pt_level_size(level) <= end)
			break;
	}
	return level;
}

/* A range without class boundaries: both aliases of each byte, by the largest leaves there can be. */
static uint64_t check_piece(uint64_t start, uint64_t end)
{
	uint64_t leaves = 0;

	for (uint64_t at = start; at < end; leaves++) {
		unsigned int level = best_level(at, start, end);
		const uint64_t bases[] = { DIRECTMAP_BASE, LOCALMAP_BASE };

		for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++) {
			struct pt_walk w = ptable_walk(&host, bases[i] + at);

			assert_true(w.present && w.level == level && w.hpa.v == at);
			assert_true(w.rights & PTE_W && w.rights & PTE_NX && !(w.entry & PTE_G));
		}
		at += pt_level_size(level);
	}
	return leaves;
}

static bool count_leaf(const struct pt_leaf *leaf, void *arg)
{
	assert_true(leaf->present);
	++*(uint64_t *)arg;
	return true;
}

static const struct memrange small[] = { { 0, 0x9f000 }, { MiB(1), MiB(64) }, { 0, 0 } };
static const struct memrange odd[] = { { PAGE_SIZE, MiB(3) - PAGE_SIZE },
				       { MiB(5), GiB(2) + MiB(2) + PAGE_SIZE },
				       { GiB(3), GiB(4) - PAGE_SIZE },
				       { 0, 0 } };
static const struct memrange large[] = { { 0, 0x9f000 },
					 { MiB(1), GiB(3) },
					 { GiB(4), GiB(1030) }, /* over a PML4 slot's end */
					 { GiB(2000), GiB(2001) + MiB(6) },
					 { 0, 0 } };
static const struct memrange *const machines[] = { small, odd, large };

/* RAM is mapped to the last byte by the fewest leaves; only text and rodata, a hole, are cut out. */
static void test_largest_leaves(void **state)
{
	uint64_t hole = IMAGE_PHYS, hole_end = IMAGE_PHYS + 8 * PAGE_SIZE; /* text and rodata */

	(void)state;
	for (unsigned int m = 0; m < 2 * ARRAY_SIZE(machines); m++) {
		uint64_t leaves = 0, found = 0;

		start(machines[m / 2], m % 2);
		for (const struct memrange *r = machines[m / 2]; r->end; r++) {
			bool cut = r->start <= hole && hole_end <= r->end;

			leaves += check_piece(r->start, cut ? hole : r->end);
			if (cut)
				leaves += check_piece(hole_end, r->end);
		}
		assert_true(ptable_for_each(&host, DIRECTMAP_BASE, PHYS_LIMIT, count_leaf, &found));
		assert_int_equal(found, leaves);
		for (uint64_t at = hole; at < hole_end; at += PAGE_SIZE)
			assert_false(ptable_walk(&host, DIRECTMAP_BASE + at).present);
	}
}

/* 1 TiB takes a table for each 512 GiB and a few for the odd ends: not one for each GiB. */
static void test_tables(void **state)
{
	uint64_t with_1g;

	(void)state;
	start(large, true);
	with_1g = host.nr_tables;
	assert_in_range(with_1g, 16, 60);
	start(large, false);
	assert_in_range(host.nr_tables - with_1g, 1020, 1040);
}

/* Each part of the image has its rights, in pages, and nothing is both writable and executable. */
static void test_image(void **state)
{
	const struct image_window *w;

	(void)state;
	start(small, true);
	for (unsigned int i = 0; (w = hostmap_window(i)); i++) {
		for (const char *p = w->start; p < w->end; p += PAGE_SIZE) {
			struct pt_walk walk = ptable_walk(&host, (uint64_t)p);

			assert_true(walk.present && walk.level == 0);
			assert_int_equal(walk.hpa.v, (uint64_t)p - IMAGE_BASE);
			assert_int_equal(!(walk.rights & PTE_W), !(w->prot & PROT_W));
			assert_int_equal(!(walk.rights & PTE_NX), !!(w->prot & PROT_X));
			assert_false(w->prot & PROT_W && w->prot & PROT_X);
		}
		assert_int_equal(w->restricted, !strcmp(w->name, "text") ||
							!strcmp(w->name, "rodata") ||
							!strcmp(w->name, "nonsensitive data"));
	}
	/* A panic reads what is mapped; before there are tables of ours, the image. */
	for (int mapped = 1; mapped >= 0; mapped--) {
		ready = mapped;
		assert_true(panic_can_read((uint64_t)__text_start));
		assert_true(panic_can_read((uint64_t)__symbols_end - 1));
		assert_false(panic_can_read((uint64_t)__symbols_end));
		assert_int_equal(panic_can_read(DIRECTMAP_BASE + MiB(1)), mapped);
	}
	assert_false(panic_can_read((uint64_t)__text_start - PAGE_SIZE));
}

/* Below every slot there is a table, so that a root's entries never change. */
static void test_slots(void **state)
{
	static const uint64_t last[] = { VMALLOC_LOCAL_BASE, PERCPU_SENSITIVE_BASE, DEVICE_BASE };
	uint64_t roots[512];

	(void)state;
	start(odd, true);
	memcpy(roots, hpa_to_direct(host.root), PAGE_SIZE);
	for (unsigned int slot = 256; slot <= 295; slot++)
		if (slot != PML4_SLOT(SELF_PAGE))
			assert_true(roots[slot] & PTE_P);
	for (unsigned int i = 0; i < 16; i++) /* the window's tables are the direct map's */
		assert_int_equal(roots[256 + i], roots[272 + i]);
	assert_int_equal(hostmap_add_cpu(0), 0);
	assert_non_null(hostmap_device(HPA(0xfee00000)));
	for (unsigned int i = 0; i < ARRAY_SIZE(last); i++)
		assert_int_equal(ptable_prepare(&host, last[i], MiB(4), 0), 0);
	assert_memory_equal(roots, hpa_to_direct(host.root), PAGE_SIZE);
}

/* Exactly the parts of the two areas are backed, by cleared memory, for each CPU. */
static void test_percpu(void **state)
{
	(void)state;
	start(small, true);
	for (uint32_t cpu = 0; cpu < 3; cpu++) {
		uint64_t areas[] = { percpu_area(cpu),
				     PERCPU_SENSITIVE_BASE + cpu * PERCPU_STRIDE };

		fake_cleared_bytes = 0;
		assert_int_equal(hostmap_add_cpu(cpu), 0);
		for (uint64_t at = 0; at < 2 * PERCPU_STRIDE; at += PAGE_SIZE) {
			bool secret = at >= PERCPU_STRIDE, want = false;
			const struct percpu_part *parts =
				secret ? percpu_sensitive_parts : percpu_parts;
			uint64_t offset = at % PERCPU_STRIDE;
			struct pt_walk w = ptable_walk(&host, areas[secret] + offset);

			for (unsigned int i = 0; i < ARRAY_SIZE(percpu_parts); i++)
				want |= offset - parts[i].offset < parts[i].size;
			assert_int_equal(w.present, want);
			fake_cleared_bytes -= want ? PAGE_SIZE : 0;
			assert_true(!want || (w.rights & PTE_W && w.rights & PTE_NX));
		}
		assert_int_equal(fake_cleared_bytes, 0);
		/* The last page of an area is a guard: no part of one CPU meets the next. */
		assert_false(ptable_walk(&host, areas[0] + PERCPU_STRIDE - 1).present);
	}
}

/* vmalloc's contract: exactly the pages, absent again, and flushed by somebody else. */
static void test_vmap(void **state)
{
	hpa_t frames[] = { HPA(MiB(9)), HPA(MiB(3)), HPA(MiB(7)) };
	char *hva = (char *)VMALLOC_GLOBAL_BASE + PAGE_SIZE;

	(void)state;
	start(small, true);
	assert_int_equal(hostmap_vmap(hva, frames, 3), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(hostmap_vlookup(hva + i * PAGE_SIZE + 5).v, frames[i].v + 5);
	assert_int_equal(hostmap_vlookup(hva - 1).v, HPA_NONE.v);
	assert_int_equal(hostmap_vlookup(hva + 3 * PAGE_SIZE).v, HPA_NONE.v);
	fake_mmu_log[0] = '\0';
	hostmap_vunmap(hva, 3);
	assert_string_equal(fake_mmu_log, "");
	assert_int_equal(hostmap_vlookup(hva).v, HPA_NONE.v);
}

/* The whole of the init parts goes to the buddy, and nobody can run or read it any more. */
static void test_free_init(void **state)
{
	struct buddy_stats before, after;

	(void)state;
	start(small, true);
	buddy_get_stats(&before);
	flushed = 0;
	hostmap_free_init();
	buddy_get_stats(&after);
	assert_int_equal(after.total_pages - before.total_pages, 3);
	assert_int_equal(flushed, 3);
	assert_int_equal(host.nr_removed, host.nr_flushed);
	assert_false(ptable_walk(&host, (uint64_t)__init_text_start).present);
	assert_false(ptable_walk(&host, (uint64_t)__init_data_end - 1).present);
	assert_true(ptable_walk(&host, (uint64_t)__data_end - 1).present);
	assert_true(ptable_walk(&host, (uint64_t)__symbols_start).present);
}

/* Firmware's memory: what is RAM is there already; what is not is added, read-only, in pages. */
static void test_firmware(void **state)
{
	(void)state;
	start(small, true);
	assert_ptr_equal(hostmap_firmware(HPA(MiB(32) + 5), 10), hpa_to_direct(HPA(MiB(32) + 5)));
	assert_true(hostmap_firmware(HPA(0xe0ff0), 0x20));
	assert_false(ptable_walk(&host, DIRECTMAP_BASE + 0xe0000).rights & PTE_W);
	assert_true(ptable_walk(&host, DIRECTMAP_BASE + 0xe1000).present);
	assert_false(ptable_walk(&host, DIRECTMAP_BASE + 0xe2000).present);
	assert_null(hostmap_firmware(HPA(0), 0));
	assert_null(hostmap_firmware(HPA(PHYS_LIMIT - 1), 2));
	assert_null(hostmap_firmware(HPA(~0UL), 2));
}

/* Without memory: an error code once the machine runs, a panic that says why before it can. */
static void test_no_memory(void **state)
{
	static const struct memrange tiny[] = { { MiB(2), MiB(2) + 24 * PAGE_SIZE }, { 0, 0 } };
	hpa_t frame = HPA(MiB(9));

	(void)state;
	for (unsigned int pages = 0; pages < 40; pages++) {
		uint64_t tables;

		/* The CPU's areas need more, with their tables: each of them is the one that is missing. */
		start(small, true);
		tables = host.nr_tables;
		memset(&all_ram, 0, sizeof(all_ram));
		memset(&free_ram, 0, sizeof(free_ram));
		taking = false;
		if (pages)
			assert_int_equal(memmap_add(GiB(3), pages * PAGE_SIZE), 0);
		assert_int_equal(hostmap_add_cpu(0), -ENOMEM);
		assert_true(host.nr_tables - tables <= pages);
		assert_null(memmap_free(0));
		assert_null(hostmap_device(HPA(0xfee00000)));
		assert_null(hostmap_firmware(HPA(GiB(900)), 1));
		assert_int_equal(hostmap_vmap((void *)VMALLOC_GLOBAL_BASE, &frame, 1), -ENOMEM);
		assert_int_equal(hostmap_vlookup((void *)VMALLOC_GLOBAL_BASE).v, HPA_NONE.v);
	}
	expect_assert_failure(start(tiny, true));
	assert_non_null(strstr(fake_panic_text, "page tables"));
	no_metadata = true;
	expect_assert_failure(start(small, true));
	assert_non_null(strstr(fake_panic_text, "page metadata"));
	no_metadata = false;
}

/* RAM that begins or ends inside the image's text: then the loader, or our map of RAM, is wrong. */
static void test_image_not_ram(void **state)
{
	static const struct memrange begins[] = { { IMAGE_PHYS + PAGE_SIZE, MiB(64) }, { 0, 0 } };
	static const struct memrange ends[] = { { MiB(1), IMAGE_PHYS + 7 * PAGE_SIZE },
						{ MiB(4), MiB(64) },
						{ 0, 0 } };

	(void)state;
	expect_assert_failure(start(begins, true));
	assert_non_null(strstr(fake_panic_text, "hole"));
	expect_assert_failure(start(ends, true));
	assert_non_null(strstr(fake_panic_text, "hole"));
}

/* Reports call each address by its region, from the first byte to the last. */
static void test_regions(void **state)
{
	static const struct {
		uint64_t first, end;
		const char *name;
	} regions[] = {
		{ 0, DIRECTMAP_BASE, "nothing" },
		{ DIRECTMAP_BASE, LOCALMAP_BASE, "direct map" },
		{ LOCALMAP_BASE, PAGE_ARRAY_BASE, "local window" },
		{ PAGE_ARRAY_BASE, VMALLOC_SENSITIVE_BASE, "page metadata" },
		{ VMALLOC_SENSITIVE_BASE, VMALLOC_GLOBAL_BASE, "vmalloc, sensitive" },
		{ VMALLOC_GLOBAL_BASE, VMALLOC_LOCAL_BASE, "vmalloc, global" },
		{ VMALLOC_LOCAL_BASE, PERCPU_BASE, "vmalloc, local" },
		{ PERCPU_BASE, PERCPU_SENSITIVE_BASE, "per-CPU, nonsensitive" },
		{ PERCPU_SENSITIVE_BASE, SELF_PAGE, "per-CPU, sensitive" },
		{ SELF_PAGE, DEVICE_BASE, "self page" },
		{ DEVICE_BASE, DEVICE_BASE + PML4_SLOT_SIZE, "devices" },
		{ DEVICE_BASE + PML4_SLOT_SIZE, 0xffffffff80000000, "nothing" },
		{ 0xffffffff80000000, 0, "image" },
	};
	const uint64_t usual = image_base;

	(void)state;
	image_base = real_image_base;
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		assert_string_equal(hostmap_region(regions[i].first), regions[i].name);
		assert_string_equal(hostmap_region(regions[i].end - 1), regions[i].name);
	}
	image_base = usual;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_largest_leaves), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_image),	       cmocka_unit_test(test_slots),
		cmocka_unit_test(test_percpu),	       cmocka_unit_test(test_vmap),
		cmocka_unit_test(test_free_init),      cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_image_not_ram),
		cmocka_unit_test(test_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
