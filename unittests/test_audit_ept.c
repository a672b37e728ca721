/* SPDX-License-Identifier: MIT */
/* vmm/audit_ept.c finds each violation that is planted in the EPT or the books of two VMs, in both modes. */
#include "unittests/guest_memory.h"
#include "lib/log.h"
#include "mm/memmap.h"
#include "vmm/audit_ept.h"

#define UNIT   PAGE_SIZE_2M
#define MIB    14
#define BLOCKS (MIB / 2)

static struct mem_owner owners[2];
static struct vm vms[2];
static struct vm *first = &vms[0], *second = &vms[1];
static bool ended[2];
static unsigned int lines;

struct vm *vm_get(unsigned int owner_id)
{
	for (unsigned int i = 0; i < 2; i++)
		if (vms[i].owner && vms[i].owner->id == owner_id && !ended[i])
			return &vms[i];
	return NULL;
}

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
	lines++;
}

static struct ept_audit audit(void)
{
	struct ept_audit_walk walk = { 0 };

	while (!ept_audit_step(&walk))
		;
	return walk.sum;
}

static uint64_t violations(void)
{
	uint64_t before = lines, found = audit().violations;

	assert_int_equal(lines > before, found > 0);
	return found;
}

/* The entry that shows @gpa, at whatever level. */
static uint64_t *entry_of(struct vm *vm, uint64_t gpa)
{
	unsigned int level = ptable_walk(&vm->ept, gpa).level;
	uint64_t *table = hpa_to_local(ptable_table(&vm->ept, gpa, level));

	return &table[gpa >> (PAGE_SHIFT + 9 * level) & 511];
}

/* Whether the audit finds something if *@word is @value, and nothing if it is as before. */
static bool found_if(uint64_t *word, uint64_t value)
{
	uint64_t was = *word;
	bool found;

	assert_true(was != value);
	*word = value;
	found = violations() > 0;
	*word = was;
	return found && !violations();
}

/* Two guests; the second half of their RAM is not touched yet. */
static void start(enum guest_map map)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct vm *vm = &vms[i];

		mem_owner_init(&owners[i], (uint16_t)(3 + 5 * i));
		*vm = (struct vm){ .owner = &owners[i], .lock = SPINLOCK(LOCK_VM) };
		vm->options.guest_map = map;
		vm->options.mem_mib = MIB;
		assert_int_equal(guestram_create(vm), 0);
		assert_int_equal(ept_create(vm), 0);
		for (uint64_t gpa = 0; gpa < MiB(MIB) / 2; gpa += PAGE_SIZE)
			if (guestmem_is_ram(vm, GPA(gpa), PAGE_SIZE))
				assert_int_equal(ept_map_ram(vm, GPA(gpa)), 0);
	}
	assert_int_equal(violations(), 0);
}

static void finish(void)
{
	assert_int_equal(violations(), 0);
	for (unsigned int i = 0; i < 2; i++) {
		ept_destroy(&vms[i]);
		guestram_destroy(&vms[i]);
		mem_owner_destroy(&owners[i]);
		vms[i].owner = NULL;
	}
}

static void test_sound(void **state)
{
	struct ept_audit sum;

	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		start(map);
		sum = audit();
		assert_int_equal(sum.vms, 2);
		assert_int_equal(sum.leaves, 2 * (512 - 96 + BLOCKS / 2));
		assert_int_equal(sum.bytes,
				 2 * (MiB(MIB + 2) / 2 - (GUEST_HOLE_END - GUEST_HOLE_START)));
		assert_int_equal(sum.tables, vms[0].ept.nr_tables + vms[1].ept.nr_tables);
		finish();
	}
	assert_int_equal(audit().vms, 0);
}

/* Each way for an entry to be wrong, large leaves and small ones. */
static void test_entries(void **state)
{
	static const uint64_t places[] = { 5 * PAGE_SIZE, UNIT };
	void *ours = page_alloc(PAGEBLOCK_ORDER, SENSITIVE, NULL);

	(void)state;
	for (unsigned int k = 0; k < 2 * ARRAY_SIZE(places); k++) {
		uint64_t gpa = places[k / 2], *entry, block, flags, frame, size;

		start(k % 2 ? GUEST_MAP_NONE : GUEST_MAP_ALL);
		entry = entry_of(first, gpa);
		block = *entry_of(first, UNIT);
		size = pt_level_size(ptable_walk(&first->ept, gpa).level);
		flags = *entry & ~PTE_ADDR_MASK;
		frame = *entry & PTE_ADDR_MASK;
		assert_true(found_if(entry, (frame ^ size) | flags)); /* the wrong frame */
		assert_true(found_if(entry, *entry_of(second, gpa))); /* another guest's */
		assert_true(found_if(entry, hva_to_hpa(ours).v | flags));
		assert_true(found_if(entry, first->ept.root.v | flags)); /* its own tables */
		assert_true(found_if(entry, FAKE_RAM_SIZE | flags));	 /* no RAM at all */
		assert_true(found_if(entry, *entry & ~EPTE_W));
		assert_true(found_if(entry, *entry & ~EPTE_X));
		assert_true(found_if(entry, *entry & ~EPTE_WB)); /* uncached */
		assert_true(found_if(entry, *entry | EPTE_A));
		assert_true(found_if(entry, frame)); /* absent, with its frame: L1TF */
		assert_true(found_if(entry, 0));     /* absent, with frame 0 */
		/* One entry more: in the hole, not touched yet but of another block, behind the end. */
		assert_true(found_if(entry_of(first, GUEST_HOLE_START),
				     (first->ram[0].v + GUEST_HOLE_START) | EPTE_WB | PROT_RWX));
		assert_true(found_if(entry_of(first, 4 * UNIT), block));
		assert_true(found_if(entry_of(first, MiB(MIB)), block));
		assert_true(found_if(entry_of(first, BIT(47)), block));
		finish();
	}
	page_free(ours, PAGEBLOCK_ORDER);
}

/* The one page that is not RAM: where it belongs and as it belongs, or nowhere. */
static void test_apic_page(void **state)
{
	const uint64_t gpa = 0xfee00000;

	(void)state;
	start(GUEST_MAP_ALL);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(ept_map_apic_page(&vms[i]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t *entry = entry_of(&vms[i], gpa), flags = *entry & ~PTE_ADDR_MASK;

		assert_int_equal(*entry, vms[i].apic_page.v | EPTE_WB | PROT_RW);
		assert_int_equal(ptable_walk(&vms[i].ept, gpa).level, 0);
		assert_true(found_if(entry, *entry_of(&vms[!i], gpa))); /* the other guest's */
		assert_true(found_if(entry, *entry_of(&vms[i], UNIT) | flags)); /* RAM */
		assert_true(found_if(entry, vms[i].ept.root.v | flags));
		assert_true(found_if(entry, *entry | EPTE_X));
		assert_true(found_if(entry, *entry & ~EPTE_W));
		assert_true(found_if(entry, *entry & ~EPTE_WB));
		assert_true(found_if(entry + 1, *entry)); /* twice */
	}
	/* Where no page is to be there is none; and it is a page of its own, not one of RAM or somebody else's. */
	assert_true(found_if(&first->apic_page.v, 0));
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t was = first->apic_page.v, *entry = entry_of(first, gpa), old = *entry;
		hpa_t wrong = i ? second->apic_page : first->ram[1];

		first->apic_page = wrong;
		*entry = wrong.v | EPTE_WB | PROT_RW;
		assert_int_equal(violations(), 1);
		first->apic_page.v = was;
		*entry = old;
	}
	finish();
}

/* What was given back, and is mapped still; or taken out, and no flush since. */
static void test_release(void **state)
{
	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		uint64_t *entry, was, nr;

		start(map);
		entry = entry_of(first, UNIT);
		was = *entry;
		assert_int_equal(guestram_release(first, GPA(UNIT), UNIT), 0);
		assert_int_equal(violations(), 0);
		assert_true(found_if(entry, was));
		assert_int_equal(guestram_claim(first, GPA(UNIT), UNIT), 0);
		assert_int_equal(violations(), 0);
		nr = ptable_unmap(&first->ept, UNIT, UNIT);
		assert_int_equal(violations(), 1);
		world_stop();
		assert_int_equal(ept_unmap_ram(first, GPA(UNIT), UNIT), 0); /* all gone already */
		world_resume();
		assert_int_equal(violations(), 1);
		ptable_note_flush(&first->ept, nr);
		finish();
	}
}

/* The books themselves: whose block it is, whether it is allocated, and that nobody else has it. */
static void test_books(void **state)
{
	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		hpa_t *last, *other;
		struct pageblock *tag;
		struct page *head;

		start(map);
		last = &first->ram[BLOCKS - 1]; /* no table says anything of it */
		other = &second->ram[BLOCKS - 1];
		tag = pfn_to_pageblock(hpa_to_pfn(*last));
		head = page_head(pfn_to_page(hpa_to_pfn(*last)));
		assert_true(found_if(&last->v, first->ram[1].v)); /* twice in one guest */
		assert_true(found_if(&last->v, other->v));	  /* in two */
		assert_true(found_if(&last->v, last->v + PAGE_SIZE));
		assert_true(found_if(&last->v, FAKE_RAM_SIZE));
		assert_true(found_if(&last->v, ALIGN_DOWN(first->ept.root.v, UNIT)));
		tag->class = map == GUEST_MAP_ALL ? SENSITIVE : GLOBAL;
		assert_int_equal(violations(), 1);
		tag->class = guestram_class(first);
		assert_true(found_if((uint64_t *)&tag->owner, (uint64_t)&owners[1]));
		page_set_state(head, PAGE_DEFERRED); /* freed, and the guest has it still */
		assert_int_equal(violations(), 1);
		page_set_state(head, PAGE_USED);
		finish();
	}
}

/* Tables: another class's or owner's, the guest's own RAM, another guest's, one that was lost. */
static void test_tables(void **state)
{
	struct pageblock *tag;
	uint64_t *link;
	uint64_t *ram;

	(void)state;
	start(GUEST_MAP_ALL);
	tag = pfn_to_pageblock(hpa_to_pfn(first->ept.root));
	tag->class = SENSITIVE;
	assert_int_equal(violations(), first->ept.nr_tables);
	tag->class = LOCAL;
	assert_true(found_if((uint64_t *)&tag->owner, (uint64_t)&owners[1]));
	assert_true(found_if(&first->eptp, second->eptp));
	link = (uint64_t *)hpa_to_local(ptable_table(&first->ept, 0, 1));
	/* A copy that says the same, in memory that the guest writes, the head of a run. */
	assert_int_equal(pfn_to_page(hpa_to_pfn(first->ram[4]))->state, PAGE_USED);
	ram = hpa_to_local(first->ram[4]);
	memcpy(ram, hpa_to_local(ptable_table(&first->ept, 0, 0)), PAGE_SIZE);
	assert_true(found_if(link, first->ram[4].v | (*link & ~PTE_ADDR_MASK)));
	memset(ram, 0, PAGE_SIZE);
	assert_true(found_if(link, *(uint64_t *)hpa_to_local(ptable_table(&second->ept, 0, 1))));
	assert_true(found_if(
		link, PTE_ABSENT)); /* nothing that was wrong is mapped, yet a table is gone */
	assert_true(found_if(&first->ept.nr_tables, first->ept.nr_tables - 1));
	finish();
}

/* Between steps tables come and blocks go, and a VM ends. */
static void test_steps(void **state)
{
	struct ept_audit_walk walk = { 0 };
	uint64_t steps = 1;

	(void)state;
	start(GUEST_MAP_ALL);
	while (!ept_audit_step(&walk))
		steps++;
	assert_in_range(steps, 4, 100);
	for (uint64_t at = 0; at <= steps; at++) {
		uint64_t gib = GiB(at + 1); /* a new table or two each time */

		walk = (struct ept_audit_walk){ 0 };
		for (uint64_t i = 0; i < at && !ept_audit_step(&walk);)
			i++;
		assert_int_equal(ptable_prepare(&first->ept, gib, PAGE_SIZE, 0), 0);
		assert_int_equal(guestram_release(second, GPA(UNIT), UNIT), 0);
		while (!ept_audit_step(&walk))
			;
		assert_int_equal(walk.sum.violations, 0);
		assert_int_equal(guestram_claim(second, GPA(UNIT), UNIT), 0);
	}
	for (uint64_t at = 1; at < steps; at++) {
		walk = (struct ept_audit_walk){ 0 };
		for (uint64_t i = 0; i < at; i++)
			assert_false(ept_audit_step(&walk));
		ended[1] = true;
		while (!ept_audit_step(&walk))
			;
		ended[1] = false;
		assert_int_equal(walk.sum.violations, 0);
	}
	finish();
}

static int setup(void **state)
{
	(void)state;
	ptable_use_buddy();
	assert_int_equal(memmap_add(MiB(1), MiB(127)), 0);
	buddy_add(HPA(MiB(1)), HPA(MiB(128)));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),	  cmocka_unit_test(test_entries),
		cmocka_unit_test(test_apic_page), cmocka_unit_test(test_release),
		cmocka_unit_test(test_books),	  cmocka_unit_test(test_tables),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
