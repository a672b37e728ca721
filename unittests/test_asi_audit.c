/* SPDX-License-Identifier: MIT */
/* asi/audit.c: it finds nothing in what asi/map.c built, and each single thing that is planted. */
#include "unittests/asi_audit.h"
#include "asi/expose.h"
#include "lib/errno.h"

/* As it stands there are no violations, and every leaf is counted with its size. */
static void test_clean(void **state)
{
	struct asi_audit audit;
	struct asi_surface s[VMS];
	uint64_t bytes = 0;

	(void)state;
	asi_audit(&audit);
	assert_int_equal(audit.domains, VMS);
	assert_int_equal(audit.violations, 0);
	for (unsigned int i = 0; i < VMS; i++) {
		asi_surface(vms[i], &s[i]);
		bytes += s[i].image + s[i].global + s[i].local + s[i].vmalloc + s[i].metadata +
			 s[i].percpu + s[i].device + PAGE_SIZE; /* the self page */
	}
	assert_int_equal(audit.bytes, bytes);
	assert_int_equal(s[0].local, PAGEBLOCK_SIZE);
	assert_int_equal(s[2].local, 0);
	asi_surface(NULL, &s[0]);
	assert_int_equal(s[0].image + s[0].global + s[0].local, 0);
	assert_int_equal(s[0].total_ram, memmap_ram_bytes());
}

/* A tag that says other than the mapping: one violation in each domain that shows the block. */
static void test_tags(void **state)
{
	static const struct {
		void **page;
		enum mem_class class;
		unsigned int owner; /* of LOCAL; from 1 */
		uint64_t found;
	} cases[] = {
		{ &local, LOCAL, 2, 1 },	{ &local, LOCAL, 0, 1 },
		{ &local, GLOBAL, 0, 1 },	{ &local, GLOBAL, 1, 1 },
		{ &local, SENSITIVE, 0, 1 },	{ &local, SENSITIVE, 1, 1 },
		{ &foreign, LOCAL, 1, 1 },	{ &global, LOCAL, 1, VMS },
		{ &global, SENSITIVE, 0, VMS }, { &global, GLOBAL, 1, VMS },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pageblock *b = block_of(*cases[i].page), was = *b;

		b->class = (uint8_t)cases[i].class;
		b->owner = cases[i].owner ? &fake_owners[cases[i].owner - 1] : NULL;
		assert_int_equal(violations(), cases[i].found);
		*b = was;
		assert_int_equal(violations(), 0);
	}
}

/* Bits of a leaf that is there, changed one at a time. */
static void test_entry_bits(void **state)
{
	uint64_t text = (uint64_t)hostmap_window(FAKE_TEXT)->start;
	uint64_t rodata = (uint64_t)hostmap_window(FAKE_RODATA)->start;
	const struct {
		uint64_t va;
		unsigned int level;
		uint64_t flip, found;
	} cases[] = {
		{ LOCALMAP_BASE + hpa(local), 1, PTE_G, 1 },
		{ LOCALMAP_BASE + hpa(local), 1, PTE_U, 1 },
		{ LOCALMAP_BASE + hpa(local), 1, PTE_NX, 2 }, /* W+X, and the host has no X */
		{ LOCALMAP_BASE + hpa(local), 1, PTE_W, 0 },  /* a right less is no harm */
		{ LOCALMAP_BASE + hpa(local), 1, PTE_A, 0 },
		{ LOCALMAP_BASE + hpa(local), 1, hpa(local) ^ hpa(foreign), 1 },
		{ DIRECTMAP_BASE + hpa(global), 1, PTE_G, VMS },
		{ text, 0, PTE_G, VMS },
		{ text, 0, PTE_W, 2 * VMS }, /* W+X, and the host has no W */
		{ rodata, 0, PTE_W, VMS },
		{ rodata, 0, PTE_NX, VMS },
		{ rodata, 0, PAGE_SIZE, VMS }, /* the frame next to it */
		{ SELF_PAGE, 0, PTE_W, 1 },
		{ SELF_PAGE, 0, PTE_NX, 1 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t *entry = fake_entry(&d->pt, cases[i].va, cases[i].level);

		*entry ^= cases[i].flip;
		assert_int_equal(violations(), cases[i].found);
		*entry ^= cases[i].flip;
		assert_int_equal(violations(), 0);
	}
}

/* Absent entries that hold a frame, at every level of every kind of table. */
static void test_absent_frames(void **state)
{
	static const uint64_t values[] = { 0, PAGE_SIZE, MiB(2) | PTE_W | PTE_NX };
	const struct {
		uint64_t va;
		unsigned int level;
		uint64_t found;
	} cases[] = {
		{ 0, 3, 1 }, /* the lower half of the root */
		{ VMALLOC_SENSITIVE_BASE, 3, 1 },
		{ PERCPU_SENSITIVE_BASE, 3, 1 },
		{ LOCALMAP_BASE + GiB(3), 2, 1 },
		{ LOCALMAP_BASE + hpa(sensitive), 1, 1 },
		{ DIRECTMAP_BASE + hpa(sensitive), 1, VMS },
		{ SELF_PAGE + PAGE_SIZE, 0, 1 },
		{ (uint64_t)hostmap_window(FAKE_DATA)->start, 0, VMS },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(values); i++) {
		unsigned int c = i / ARRAY_SIZE(values);
		uint64_t *entry = fake_entry(&d->pt, cases[c].va, cases[c].level);

		assert_int_equal(*entry, PTE_ABSENT);
		*entry = values[i % ARRAY_SIZE(values)];
		assert_int_equal(violations(), cases[c].found);
		*entry = PTE_ABSENT;
		assert_int_equal(violations(), 0);
	}
}

/* One mapping more than there should be, of 4 KiB or of a block. */
static void test_extra_mappings(void **state)
{
	uint64_t s = hpa(sensitive), other = hpa(foreign);
	uint64_t data = (uint64_t)hostmap_window(FAKE_DATA)->start;
	uint64_t text = (uint64_t)hostmap_window(FAKE_TEXT)->start;
	struct {
		struct ptable *pt;
		uint64_t va, hpa;
		unsigned int level, prot;
		bool host; /* the unrestricted space has it too */
		uint64_t found;
	} cases[] = {
		{ &d->pt, LOCALMAP_BASE + s, s, 1, PROT_RW, false, 1 },
		{ &d->pt, LOCALMAP_BASE + s, s, 1, PROT_R, false, 1 },
		{ &d->pt, LOCALMAP_BASE + other, other, 1, PROT_RW, false, 1 },
		{ &d->pt, LOCALMAP_BASE + GiB(3), s, 1, PROT_RW, false, 1 },
		{ &d->pt, LOCALMAP_BASE, 0, 1, PROT_RW, false, 1 }, /* not all of it is RAM */
		{ &asi_global, DIRECTMAP_BASE + s, s, 1, PROT_RW, false, VMS },
		{ &asi_global, DIRECTMAP_BASE + other, other, 1, PROT_RW, false, VMS },
		{ &d->pt, SELF_PAGE + PAGE_SIZE, s, 0, PROT_RW, true, 1 },
		{ &asi_global, data, data - IMAGE_BASE, 0, PROT_RW, false, VMS },
		{ &asi_global, IMAGE_BASE, 0, 0, PROT_R, true, VMS },
		/* No area has these, so the unrestricted space is wrong too. */
		{ hostmap_ptable(), VMALLOC_SENSITIVE_BASE, s, 0, PROT_RW, false, 1 },
		{ hostmap_ptable(), VMALLOC_GLOBAL_BASE, s, 0, PROT_RW, false, 1 + VMS },
		{ hostmap_ptable(), VMALLOC_GLOBAL_BASE, hpa(global), 0, PROT_RW, false, 1 + VMS },
		{ hostmap_ptable(), VMALLOC_LOCAL_BASE + GiB(1), s, 0, PROT_RW, false, 2 },
		{ hostmap_ptable(), VMALLOC_LOCAL_BASE + GiB(1), other, 0, PROT_RW, false, 2 },
		{ hostmap_ptable(), VMALLOC_LOCAL_BASE + GiB(1), hpa(local), 0, PROT_RW, false, 2 },
		/* Everywhere writable and executable, and RAM besides. */
		{ hostmap_ptable(), DEVICE_BASE + PAGE_SIZE, s, 0, PROT_RWX, false, 1 + 2 * VMS },
		{ hostmap_ptable(), PERCPU_BASE + PAGE_SIZE, s, 0, PROT_RW, false, VMS },
		{ hostmap_ptable(), PAGE_ARRAY_BASE + PAGE_SIZE, s, 0, PROT_RW, false, VMS },
		/* A second, writable alias of text. */
		{ hostmap_ptable(), PERCPU_SENSITIVE_BASE + PAGE_SIZE, text - IMAGE_BASE, 0,
		  PROT_RW, false, 1 },
		{ hostmap_ptable(), PERCPU_SENSITIVE_BASE + PAGE_SIZE, text - IMAGE_BASE, 0, PROT_R,
		  false, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t size = pt_level_size(cases[i].level);

		assert_int_equal(ptable_prepare(cases[i].pt, cases[i].va, size, cases[i].level), 0);
		ptable_map(cases[i].pt, cases[i].va, HPA(cases[i].hpa), size, cases[i].level,
			   cases[i].prot);
		if (cases[i].host)
			fake_map(hostmap_ptable(), cases[i].va, cases[i].hpa, PROT_RW);
		assert_int_equal(violations(), cases[i].found);
		ptable_unmap(cases[i].pt, cases[i].va, size);
		if (cases[i].host)
			ptable_unmap(hostmap_ptable(), cases[i].va, PAGE_SIZE);
		note_flushes();
		assert_int_equal(violations(), 0);
	}
}

/* The unrestricted space lacks, moves or forbids what a restricted one has: at either end or inside. */
static void test_host_differs(void **state)
{
	uint64_t va = LOCALMAP_BASE + hpa(local);

	(void)state;
	assert_int_equal(ptable_split(hostmap_ptable(), va, 0), 0);
	note_flushes();
	assert_int_equal(violations(), 0);
	for (unsigned int i = 0; i < 512; i += i == 0 ? 200 : 311) { /* 0, 200, 511 */
		uint64_t *entry = fake_entry(hostmap_ptable(), va + i * PAGE_SIZE, 0), was = *entry;

		*entry = PTE_ABSENT;
		assert_int_equal(violations(), 1);
		*entry = was ^ PAGE_SIZE;
		assert_int_equal(violations(), 1);
		*entry = was & ~PTE_W;
		assert_int_equal(violations(), 1);
		*entry = was;
		assert_int_equal(violations(), 0);
	}
}

/* The self page may differ from the host's, but it is the domain's own and no other frame. */
static void test_self_page(void **state)
{
	uint64_t *entry = fake_entry(&d->pt, SELF_PAGE, 0), was = *entry;

	(void)state;
	*entry = (was & ~PTE_ADDR_MASK) | hpa(sensitive);
	assert_int_equal(violations(), 1);
	*entry = *fake_entry(&vms[1]->pt, SELF_PAGE, 0);
	assert_int_equal(violations(), 1);
	*entry = was;
	assert_int_equal(violations(), 0);
}

/* A table of any host tree in memory that a restricted space maps: one violation for each way to it. */
static void test_tables(void **state)
{
	static const enum mem_class classes[] = { GLOBAL, LOCAL };
	struct asi_audit audit;
	struct asi_surface s;
	uint64_t sum = 0;

	(void)state;
	for (unsigned int c = 0; c < ARRAY_SIZE(classes); c++) {
		const struct {
			const struct ptable *pt;
			uint64_t va;
			unsigned int level; /* of the entry that points to the table */
			uint64_t found;
		} cases[] = {
			{ &d->pt, LOCALMAP_BASE, 3, 1 },
			{ &d->pt, LOCALMAP_BASE + GiB(1), 2, 1 },
			{ &d->pt, SELF_PAGE, 1, 1 },
			{ &asi_global, DIRECTMAP_BASE, 3, VMS }, /* domains have another slot now */
			{ &asi_global, DIRECTMAP_BASE, 2, VMS },
			{ hostmap_ptable(), PERCPU_SENSITIVE_BASE, 2, 1 },
			{ hostmap_ptable(), PERCPU_BASE, 1, 1 + VMS },
			{ hostmap_ptable(), DIRECTMAP_BASE, 3, 1 }, /* so has the local window */
			{ hostmap_ptable(), DIRECTMAP_BASE, 2, 2 },
		};
		/* A whole block of this class, to put a copy of the table in. */
		void *page = classes[c] == GLOBAL ? global : local;

		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			uint64_t *entry = fake_entry(cases[i].pt, cases[i].va, cases[i].level);
			uint64_t was = *entry;

			memcpy(page, hpa_to_direct(HPA(was & PTE_ADDR_MASK)), PAGE_SIZE);
			*entry = (was & ~PTE_ADDR_MASK) | hpa(page);
			assert_int_equal(violations(), cases[i].found);
			*entry = was;
			assert_int_equal(violations(), 0);
		}
	}
	asi_audit(&audit);
	for (unsigned int i = 0; i < VMS; i++) {
		asi_surface(vms[i], &s);
		assert_int_equal(s.tables, vms[i]->pt.nr_tables);
		sum += s.tables;
	}
	sum += hostmap_ptable()->nr_tables + asi_global.nr_tables;
	assert_int_equal(asi_table_pages(), sum);
	assert_true(audit.tables > sum); /* shared ones are seen by every way */
}

/* Any number of violations is counted, though not each is printed. */
static void test_reports(void **state)
{
	unsigned int lines = fake_console_lines;

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		*fake_entry(&d->pt, GiB(512) * (i + 1), 3) = 0;
	assert_int_equal(violations(), 100);
	assert_in_range(fake_console_lines - lines, 1, 50);
	for (unsigned int i = 0; i < 100; i++)
		*fake_entry(&d->pt, GiB(512) * (i + 1), 3) = PTE_ABSENT;
	assert_int_equal(violations(), 0);
}

/*
 * An experiment: what is exposed is mapped in every space, and no violation; what lies beside it is. Only sensitive static
 * data can be, once, and reports are marked from then on. It is for good, so this comes last.
 */
static void test_exposed(void **state)
{
	const struct image_window *data = hostmap_window(FAKE_DATA);
	uint64_t va = (uint64_t)data->start, text = (uint64_t)hostmap_window(FAKE_TEXT)->start;

	(void)state;
	assert_string_equal(asi_experiment(), "");
	assert_int_equal(asi_expose("x", text, 8), -EINVAL);
	assert_int_equal(asi_expose("x", va - 8, 8), -EINVAL);
	assert_int_equal(asi_expose("x", (uint64_t)data->end - 8, 16), -EINVAL);
	assert_int_equal(asi_expose("x", va, 0), -EINVAL);
	assert_null(asi_exposed(0));
	assert_int_equal(violations(), 0);

	assert_int_equal(asi_expose("x", va + 100, 8), 0);
	assert_int_equal(asi_exposed(0)->start, va);
	assert_int_equal(asi_exposed(0)->len, PAGE_SIZE);
	assert_null(asi_exposed(1));
	assert_string_equal(asi_experiment(), ",\"experiment\":true");
	for (unsigned int i = 0; i < VMS; i++)
		assert_int_equal(ptable_walk(&vms[i]->pt, va + 8).hpa.v, va + 8 - IMAGE_BASE);
	assert_int_equal(violations(), 0);
	assert_int_equal(asi_expose("y", va + PAGE_SIZE - 8, 8), -EEXIST);

	/* Its right stays the audit's business, and so does the page behind it. */
	*fake_entry(&asi_global, va, 0) &= ~PTE_NX;
	assert_int_equal(violations(), 2 * VMS); /* and not so in the unrestricted space */
	*fake_entry(&asi_global, va, 0) |= PTE_NX;
	ptable_map(&asi_global, va + PAGE_SIZE, HPA(va + PAGE_SIZE - IMAGE_BASE), PAGE_SIZE, 0,
		   PROT_RW);
	assert_int_equal(violations(), VMS);
	ptable_unmap(&asi_global, va + PAGE_SIZE, PAGE_SIZE);
	note_flushes();
	assert_int_equal(violations(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),	       cmocka_unit_test(test_tags),
		cmocka_unit_test(test_entry_bits),     cmocka_unit_test(test_absent_frames),
		cmocka_unit_test(test_extra_mappings), cmocka_unit_test(test_host_differs),
		cmocka_unit_test(test_self_page),      cmocka_unit_test(test_tables),
		cmocka_unit_test(test_reports),	       cmocka_unit_test(test_exposed),
	};

	return cmocka_run_group_tests(tests, take_pages, give_pages);
}
