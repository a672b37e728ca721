/* SPDX-License-Identifier: MIT */
/*
 * asi/audit.c against what others keep books of: root slots, vmalloc areas, slabs, flushes; and its steps.
 */
#include "unittests/asi_audit.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

/* A root's slots: each that is another's, one too many, or gone. */
static void test_slots(void **state)
{
	struct ptable *host = hostmap_ptable();
	const struct {
		uint64_t slot;		   /* an address in it */
		const struct ptable *from; /* whose entry for @of stands there; NULL: nobody's */
		uint64_t of;
		uint64_t least; /* violations; what the slot then maps comes on top */
	} cases[] = {
		{ 0, host, PERCPU_SENSITIVE_BASE, 2 },
		{ VMALLOC_SENSITIVE_BASE, host, VMALLOC_SENSITIVE_BASE, 1 },
		{ PERCPU_SENSITIVE_BASE, host, PERCPU_SENSITIVE_BASE, 2 },
		{ DIRECTMAP_BASE, host, DIRECTMAP_BASE, 2 },
		{ LOCALMAP_BASE, host, LOCALMAP_BASE, 2 },
		{ PERCPU_BASE, host, PERCPU_SENSITIVE_BASE, 2 },
		{ DIRECTMAP_BASE, NULL, 0, 1 },
		{ LOCALMAP_BASE, NULL, 0, 1 },
		{ VMALLOC_LOCAL_BASE, NULL, 0, 1 },
		{ PERCPU_BASE, NULL, 0, 1 },
		{ SELF_PAGE, NULL, 0, 1 },
		{ IMAGE_BASE, NULL, 0, 1 },
		{ IMAGE_BASE, host, IMAGE_BASE, 2 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t *entry = fake_entry(&d->pt, cases[i].slot, 3), was = *entry;

		*entry = cases[i].from ? *fake_entry(cases[i].from, cases[i].of, 3) : PTE_ABSENT;
		assert_in_range(violations(), cases[i].least, 10000);
		*entry = was;
		assert_int_equal(violations(), 0);
	}
}

/* What an area's books say is what stands in the tables, in use; else it is stale or freed. */
static void test_stale_vmalloc(void **state)
{
	static const struct {
		enum mem_class class;
		unsigned int owner; /* from 1 */
		uint64_t found;
	} kinds[] = { { SENSITIVE, 0, 1 }, { GLOBAL, 0, 1 + VMS }, { LOCAL, 1, 2 } };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct mem_owner *o = kinds[k].owner ? &fake_owners[kinds[k].owner - 1] : NULL;
		uint64_t va = (uint64_t)vmalloc(2 * PAGE_SIZE, kinds[k].class, o), *entry, was;
		struct page *page;

		assert_true(va && violations() == 0);
		entry = fake_entry(hostmap_ptable(), va, 0);
		was = *entry;
		page = pfn_to_page((was & PTE_ADDR_MASK) >> PAGE_SHIFT);
		*entry = entry[1]; /* the area's other page */
		assert_int_equal(violations(), kinds[k].found);
		*entry = was;
		entry[2] = was; /* the guard page */
		assert_int_equal(violations(), kinds[k].found);
		entry[2] = PTE_ABSENT;
		page->state = PAGE_FREE; /* freed, and the area has not been told */
		assert_int_equal(violations(), kinds[k].found);
		page->state = PAGE_USED;
		vfree((void *)va); /* kept aside: mapped, and the area's still */
		assert_int_equal(violations(), 0);
		vmalloc_flush();
		assert_int_equal(violations(), 0);
		*fake_entry(hostmap_ptable(), va, 0) = was; /* an unmapping that got lost */
		assert_int_equal(violations(), kinds[k].found);
		*fake_entry(hostmap_ptable(), va, 0) = PTE_ABSENT;
		assert_int_equal(violations(), 0);
	}
}

/* In a block of the right tag: a page that was never the allocator's, and a slab of another class. */
static void test_neighbours(void **state)
{
	struct slab_cache *cache = page_zalloc(0, LOCAL, &fake_owners[0]);
	struct page *head;
	void *object;

	(void)state;
	assert_non_null(cache);
	slab_cache_init(cache, "neighbour", 64, 0, LOCAL, &fake_owners[0]);
	object = slab_alloc(cache);
	assert_true(object && violations() == 0);
	head = page_head(pfn_to_page(hpa(object) >> PAGE_SHIFT));
	head->state = PAGE_TAIL;
	assert_int_equal(violations(), 1);
	head->state = PAGE_SLAB;
	cache->class = SENSITIVE;
	assert_int_equal(violations(), 1);
	cache->class = LOCAL;
	cache->owner = &fake_owners[1];
	assert_int_equal(violations(), 1);
	cache->owner = &fake_owners[0];
	slab_free(cache, object);
	slab_cache_destroy(cache);
	page_free(cache, 0);
	assert_int_equal(violations(), 0);
}

/* A flush that was forgotten, in each kind of tables; and PCID slots that promise what is not so. */
static void test_missing_flush(void **state)
{
	struct asi_audit before, after;
	uint64_t gen = d->tlb_gen, nr;

	(void)state;
	asi_audit(&before);
	nr = ptable_unmap(&d->pt, LOCALMAP_BASE + hpa(local), PAGEBLOCK_SIZE);
	assert_int_equal(violations(), 1);
	asi_flush_local(d, 0, ~0UL); /* of something else, for all that the books know */
	assert_int_equal(violations(), 1);
	ptable_note_flush(&d->pt, nr);
	assert_int_equal(violations(), 0);
	ptable_map(&d->pt, LOCALMAP_BASE + hpa(local), HPA(hpa(local)), PAGEBLOCK_SIZE, 1, PROT_RW);
	asi_audit(&after);
	assert_true(after.leaves == before.leaves && !after.violations);

	ptable_unmap(&asi_global, DIRECTMAP_BASE + hpa(global), PAGEBLOCK_SIZE);
	assert_int_equal(violations(), 1);
	note_flushes();
	ptable_map(&asi_global, DIRECTMAP_BASE + hpa(global), HPA(hpa(global)), PAGEBLOCK_SIZE, 1,
		   PROT_RW);
	ptable_unmap(hostmap_ptable(), DEVICE_BASE, PAGE_SIZE);
	assert_int_equal(violations(), 1);
	note_flushes();
	fake_map(hostmap_ptable(), DEVICE_BASE, FAKE_DEVICE_HPA, PROT_RW | PROT_UC);
	assert_int_equal(violations(), 0);

	asi_enter(d);
	asi_relax();
	asi_exit();
	assert_int_equal(violations(), 0);
	d->tlb_gen--; /* the slot was flushed for a later one */
	assert_int_equal(violations(), 1);
	d->tlb_gen = gen + 1000;
	assert_int_equal(violations(), 1);
	d->tlb_gen = gen;
	asi_flush_local(d, 0, ~0UL);
	asi_domains[1] = NULL; /* it has ended on another CPU, and ours was not told: no harm */
	assert_int_equal(violations(), 0);
	asi_domains[1] = d;
	assert_int_equal(violations(), 0);
	asi_slots[1].gen = d->tlb_gen + 1000; /* of whatever domain */
	assert_int_equal(violations(), 1);
	asi_slots[1].gen = 0;
	assert_int_equal(violations(), 0);
}

/* Steps see what one walk sees; each is bounded; a domain that ends in between is left out. */
static void test_steps(void **state)
{
	struct asi_audit whole;
	struct asi_audit_walk walk = { 0 };
	uint64_t steps = 1;

	(void)state;
	asi_audit(&whole);
	while (!asi_audit_step(&walk))
		assert_true(steps++ < 1000);
	assert_true(steps > 3);
	assert_true(walk.sum.leaves == whole.leaves && walk.sum.bytes == whole.bytes &&
		    walk.sum.tables == whole.tables && walk.sum.domains == VMS);

	for (uint64_t at = 1; at < steps; at++) {
		walk = (struct asi_audit_walk){ 0 };
		for (uint64_t i = 0; i < at; i++)
			assert_false(asi_audit_step(&walk));
		asi_domains[2] = NULL;
		while (!asi_audit_step(&walk))
			;
		asi_domains[2] = vms[1];
		assert_in_range(walk.sum.domains, VMS - 1, VMS);
		assert_int_equal(walk.sum.violations, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),	   cmocka_unit_test(test_stale_vmalloc),
		cmocka_unit_test(test_neighbours), cmocka_unit_test(test_missing_flush),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, take_pages, give_pages);
}
