/* SPDX-License-Identifier: MIT */
/*
 * vmm/guestram.c, vmm/ept.c and vmm/guestmem.c together, in both modes of guest-map=, on the real buddy and
 * real EPT tables: what a guest gives back is in no table and no restricted space, and is clean.
 */
#include "unittests/guest_memory.h"
#include "unittests/fake/pageblock.h"
#include "unittests/seed.h"
#include "lib/errno.h"

#define UNIT PAGE_SIZE_2M

static struct mem_owner owner;
static struct asi domain;
static struct vm vm;

static uint64_t used;
static unsigned int nr_lines;

void console_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
	nr_lines++;
}

static void start(enum guest_map map, uint64_t mib)
{
	used = memory_used();
	mem_owner_init(&owner, 7);
	vm = (struct vm){ .owner = &owner, .asi = &domain, .lock = SPINLOCK(LOCK_VM) };
	vm.options.guest_map = map;
	vm.options.mem_mib = mib;
	nr_opened = nr_invept = nr_domain_flushes = 0;
	assert_int_equal(ept_create(&vm), 0);
	nr_invept = nr_stops = nr_lines = 0;
	assert_int_equal(guestram_create(&vm), 0);
}

static void finish(void)
{
	assert_int_equal(nr_lines, 0);
	guestram_destroy(&vm);
	ept_destroy(&vm);
	mem_owner_destroy(&owner);
	assert_int_equal(memory_used(), used);
}

/* Everything is there, cleared, in the class that the mode says, and can be written and read back. */
static void test_modes(void **state)
{
	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		enum mem_class class = map == GUEST_MAP_ALL ? LOCAL : SENSITIVE;
		char text[] = "across a page", back[sizeof(text)];

		hpa_t first;

		/* What somebody has left in the memory that comes next. */
		start(map, 9);
		first = vm.ram[0];
		finish();
		memset(hpa_to_direct(first), 0x5a, UNIT);
		start(map, 9);
		assert_int_equal(vm.ram[0].v, first.v); /* or this proves nothing */
		for (uint64_t i = 0; i < vm.nr_ram; i++) {
			const struct pageblock *b = pfn_to_pageblock(hpa_to_pfn(vm.ram[i]));

			assert_int_equal(b->class, class);
			assert_true(fake_ram_is_zero(vm.ram[i], UNIT));
			assert_true(fake_pageblock_is_right(hpa_to_pfn(vm.ram[i])));
		}
		assert_int_equal(guestmem_write(&vm, GPA(4 * UNIT - 5), text, sizeof(text)), 0);
		assert_int_equal(guestmem_read(&vm, GPA(4 * UNIT - 5), back, sizeof(back)), 0);
		assert_string_equal(back, text);
		assert_memory_equal((char *)hpa_to_direct(vm.ram[4]), text + 5, sizeof(text) - 5);
		assert_int_equal(nr_opened, map == GUEST_MAP_NONE ? 4 : 0);
		assert_int_equal(guestmem_read(&vm, GPA(MiB(9) - 4), back, 4), 0);
		assert_int_equal(guestmem_read(&vm, GPA(MiB(9) - 4), back, 5), -EFAULT);
		assert_int_equal(guestmem_read(&vm, GPA(GUEST_HOLE_START), back, 1), -EFAULT);
		assert_int_equal(guestmem_write(&vm, GPA(~0UL), text, 2), -EFAULT);
		finish();
	}
}

/* Entries of page tables: eight bytes or four, and none where there is no RAM. */
static void test_entries(void **state)
{
	const uint64_t value = 0x8877665544332211;

	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		uint64_t entry = 1;

		start(map, 9);
		assert_int_equal(guestmem_write(&vm, GPA(3 * UNIT - 8), &value, 8), 0);
		assert_int_equal(guestmem_read_entry(&vm, GPA(3 * UNIT - 8), true, &entry), 0);
		assert_int_equal(entry, value);
		assert_int_equal(guestmem_read_entry(&vm, GPA(3 * UNIT - 8), false, &entry), 0);
		assert_int_equal(entry, 0x44332211);
		assert_int_equal(guestmem_read_entry(&vm, GPA(3 * UNIT - 4), false, &entry), 0);
		assert_int_equal(entry, 0x88776655);
		assert_int_equal(guestmem_read_entry(&vm, GPA(MiB(9)), true, &entry), -EFAULT);
		assert_int_equal(entry, 0);
		assert_int_equal(guestmem_read_entry(&vm, GPA(GUEST_HOLE_START), true, &entry),
				 -EFAULT);
		assert_int_equal(guestmem_read_entry(&vm, GPA(~7UL), true, &entry), -EFAULT);
		finish();
	}
}

/* What is given back is reached by nobody, is clean, and can be taken again. */
static void test_release_claim(void **state)
{
	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		char byte = 0x77;
		uint64_t before;
		hpa_t gone;

		start(map, 64);
		for (uint64_t i = 1; i < 32; i++) {
			assert_int_equal(ept_map_ram(&vm, GPA(i * UNIT)), 0);
			assert_int_equal(guestmem_write(&vm, GPA(i * UNIT + i), &byte, 1), 0);
		}
		gone = vm.ram[9];
		before = memory_used();
		assert_int_equal(guestram_release(&vm, GPA(8 * UNIT), 4 * UNIT), 0);
		assert_int_equal(memory_used(), before - 4 * (UNIT / PAGE_SIZE));
		assert_true(nr_invept == 1 && last_invept == vm.eptp);
		assert_int_equal(nr_domain_flushes, map == GUEST_MAP_NONE);
		if (map == GUEST_MAP_NONE)
			assert_ptr_equal(last_domain_flush, &owner);
		assert_int_equal(pfn_to_pageblock(hpa_to_pfn(gone))->class, SENSITIVE);
		assert_true(fake_pageblock_is_right(hpa_to_pfn(gone)));
		assert_true(fake_ram_is_zero(gone, UNIT));
		for (uint64_t i = 1; i < 32; i++) {
			bool there = i < 8 || i >= 12;

			assert_int_equal(ptable_walk(&vm.ept, i * UNIT).present, there);
			assert_int_equal(guestmem_read(&vm, GPA(i * UNIT + i), &byte, 1),
					 there ? 0 : -EFAULT);
			assert_int_equal(byte, 0x77);
			assert_int_equal(ept_map_ram(&vm, GPA(i * UNIT)), there ? 0 : -EFAULT);
		}
		assert_int_equal(guestram_claim(&vm, GPA(9 * UNIT), 2 * UNIT), 0);
		assert_true(ptable_walk(&vm.ept, 9 * UNIT).present);
		assert_int_equal(ptable_walk(&vm.ept, 10 * UNIT + 5).hpa.v, vm.ram[10].v + 5);
		assert_int_equal(guestmem_read(&vm, GPA(9 * UNIT + 9), &byte, 1), 0);
		assert_int_equal(byte, 0);
		assert_false(guestmem_is_ram(&vm, GPA(8 * UNIT), 2 * UNIT));
		finish();
	}
}

/* Claimed memory is clear even where the owner's own pool still had an idle block. */
static void test_claim_is_clear(void **state)
{
	void *idle;
	char byte;

	(void)state;
	start(GUEST_MAP_ALL, 16);
	assert_int_equal(guestram_release(&vm, GPA(UNIT), UNIT), 0);
	idle = page_alloc(PAGEBLOCK_ORDER, LOCAL, &owner);
	memset(idle, 0x5a, UNIT);
	page_free(idle, PAGEBLOCK_ORDER);
	assert_int_equal(guestram_claim(&vm, GPA(UNIT), UNIT), 0);
	assert_int_equal(vm.ram[1].v, hva_to_hpa(idle).v); /* or this proves nothing */
	assert_int_equal(guestmem_read(&vm, GPA(UNIT + 99), &byte, 1), 0);
	assert_int_equal(byte, 0);
	finish();
}

static void test_bad_ranges(void **state)
{
	static const uint64_t bad[][2] = {
		{ 0, UNIT },
		{ 4 * UNIT, 0 },
		{ 4 * UNIT + PAGE_SIZE, UNIT },
		{ 4 * UNIT, 12345 },
		{ 7 * UNIT, UNIT },
		{ 6 * UNIT, 2 * UNIT },
		{ 8 * UNIT, UNIT },
		{ -UNIT, UNIT },
		{ -UNIT, 2 * UNIT },
		{ UNIT, -UNIT },
		{ -PAGE_SIZE, -PAGE_SIZE },
		{ 1UL << 46, UNIT },
	};

	(void)state;
	start(GUEST_MAP_ALL, 15); /* the last block is a half one */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(guestram_release(&vm, GPA(bad[i][0]), bad[i][1]), -EINVAL);
		assert_int_equal(guestram_claim(&vm, GPA(bad[i][0]), bad[i][1]), -EINVAL);
	}
	assert_int_equal(guestram_claim(&vm, GPA(4 * UNIT), UNIT), -EINVAL); /* there already */
	assert_int_equal(nr_invept, 0);
	finish();
}

/* Host memory in whole GiB: one leaf, unless the CPU or the guest's memory has none; cut where needed. */
static void test_1g_leaves(void **state)
{
	uint64_t tables;

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		has_1g = round == 0;
		start(GUEST_MAP_ALL, 2048);
		assert_int_equal(ept_map_ram(&vm, GPA(GiB(1) + 5 * UNIT)), 0);
		assert_int_equal(ptable_walk(&vm.ept, GiB(1) + 5 * UNIT).level, has_1g ? 2 : 1);
		assert_int_equal(ptable_walk(&vm.ept, GiB(2) - 1).present, has_1g);
		assert_int_equal(ept_map_ram(&vm, GPA(3 * UNIT)), 0); /* the first GiB has a hole */
		assert_int_equal(ptable_walk(&vm.ept, 3 * UNIT).level, 1);
		assert_int_equal(ept_map_ram(&vm, GPA(0)), 0);
		assert_int_equal(ptable_walk(&vm.ept, 0).level, 0);
		tables = vm.ept.nr_tables;
		assert_int_equal(guestram_release(&vm, GPA(GiB(1) + 7 * UNIT), UNIT), 0);
		assert_int_equal(vm.ept.nr_tables, tables + has_1g);
		assert_int_equal(ept_map_ram(&vm, GPA(GiB(1) + 7 * UNIT)), -EFAULT);
		for (uint64_t i = 5; i < 9; i++) {
			uint64_t at = GiB(1) + i * UNIT;

			if (i == 7)
				continue;
			assert_int_equal(ept_map_ram(&vm, GPA(at)), 0);
			assert_int_equal(ptable_walk(&vm.ept, at).level, 1);
			assert_int_equal(ptable_walk(&vm.ept, at).hpa.v, vm.ram[at / UNIT].v);
		}
		finish();
	}
	has_1g = true;
	/* A whole GiB that is there, but no longer one run. */
	start(GUEST_MAP_ALL, 2048);
	assert_int_equal(guestram_release(&vm, GPA(GiB(1) + 7 * UNIT), UNIT), 0);
	assert_int_equal(guestram_claim(&vm, GPA(GiB(1) + 7 * UNIT), UNIT), 0);
	assert_int_equal(ept_map_ram(&vm, GPA(GiB(1) + 8 * UNIT)), 0);
	assert_int_equal(ptable_walk(&vm.ept, GiB(1) + 8 * UNIT).level, 1);
	finish();
}

/* At each allocation that can fail: -ENOMEM, and all is as it was. */
static void test_no_memory(void **state)
{
	unsigned int refused = 0;
	uint64_t before;
	int err = -ENOMEM;

	(void)state;
	start(GUEST_MAP_ALL, 2048);
	assert_int_equal(ept_map_ram(&vm, GPA(GiB(1))), 0);
	before = memory_used();
	buddy_fail_after(1);
	assert_int_equal(guestram_release(&vm, GPA(GiB(1) + UNIT), UNIT), -ENOMEM);
	buddy_fail_after(0);
	assert_int_equal(memory_used(), before);
	assert_int_equal(ptable_walk(&vm.ept, GiB(1) + UNIT).hpa.v, vm.ram[513].v);
	assert_int_equal(guestram_release(&vm, GPA(UNIT), 4 * UNIT), 0);
	before = memory_used();
	for (unsigned int n = 1; err; n++) {
		buddy_fail_after(n);
		err = guestram_claim(&vm, GPA(UNIT), 4 * UNIT);
		buddy_fail_after(0);
		if (!err)
			break;
		refused++;
		assert_int_equal(err, -ENOMEM);
		for (uint64_t i = 1; i < 5; i++) {
			assert_int_equal(vm.ram[i].v, HPA_NONE.v);
			assert_false(ptable_walk(&vm.ept, i * UNIT).present);
		}
		/* But for a table that stays for the next time. */
		assert_in_range(memory_used(), before, before + 2);
	}
	assert_in_range(refused, 4, 8);
	finish();
}

/* Any order of right requests, against a list of what is there. */
static void test_walk(void **state)
{
	bool there[32];

	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		start(map, 64);
		memset(there, true, sizeof(there));
		for (unsigned int step = 0; step < 300; step++) {
			uint64_t first = 1 + seed_below(28), nr = 1 + seed_below(4), have = 0;
			bool give = seed_below(2);
			int err;

			for (uint64_t i = first; i < first + nr; i++)
				have += there[i];
			err = give ? guestram_release(&vm, GPA(first * UNIT), nr * UNIT)
				   : guestram_claim(&vm, GPA(first * UNIT), nr * UNIT);
			assert_int_equal(err, have == (give ? nr : 0) ? 0 : -EINVAL);
			for (uint64_t i = first; !err && i < first + nr; i++)
				there[i] = !give;
			for (uint64_t i = 1; i < 32; i++)
				assert_int_equal(guestmem_is_ram(&vm, GPA(i * UNIT), UNIT),
						 there[i]);
		}
		finish();
	}
}

/* ---- two vCPUs ---- */

/* What the other one does, on which blocks, and what it gets for an answer. */
static struct {
	bool gives;
	uint64_t first, nr;
	int result;
} other;

static void other_acts(void)
{
	gpa_t gpa = GPA(other.first * UNIT);

	other.result = other.gives ? guestram_release(&vm, gpa, other.nr * UNIT)
				   : guestram_claim(&vm, gpa, other.nr * UNIT);
}

static void other_will(bool give, uint64_t first, uint64_t nr)
{
	other.gives = give;
	other.first = first;
	other.nr = nr;
	other.result = 1;
}

static uint64_t blocks_there(void)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < vm.nr_ram; i++)
		n += vm.ram[i].v != HPA_NONE.v;
	return n;
}

/* Both want the same: one gets it, the other is told, and nothing is lost or there twice. */
static void test_both_want(void **state)
{
	(void)state;
	for (enum guest_map map = GUEST_MAP_ALL; map <= GUEST_MAP_NONE; map++) {
		uint64_t before;

		start(map, 64);
		before = memory_used();
		other_will(true, 9, 2);
		before_stop = other_acts;
		assert_int_equal(guestram_release(&vm, GPA(8 * UNIT), 4 * UNIT), -EINVAL);
		assert_int_equal(other.result, 0);
		assert_int_equal(blocks_there(), 30);
		assert_int_equal(memory_used(), before - 2 * (UNIT / PAGE_SIZE));
		other_will(false, 10, 1);
		before_stop = other_acts;
		assert_int_equal(guestram_claim(&vm, GPA(9 * UNIT), 2 * UNIT), -EINVAL);
		assert_int_equal(other.result, 0);
		assert_int_equal(blocks_there(), 31);
		/* But for EPT tables, of which the first claim has made some. */
		assert_in_range(memory_used(), before - UNIT / PAGE_SIZE,
				before - UNIT / PAGE_SIZE + 3);
		assert_int_equal(guestram_claim(&vm, GPA(9 * UNIT), UNIT), 0);
		finish();
	}
}

/* What has been claimed is given back by the other one before it is mapped. */
static void test_claimed_and_gone(void **state)
{
	uint64_t before;

	(void)state;
	start(GUEST_MAP_ALL, 64);
	assert_int_equal(guestram_release(&vm, GPA(8 * UNIT), 4 * UNIT), 0);
	before = memory_used();
	other_will(true, 8, 4);
	behind_stop = other_acts;
	assert_int_equal(guestram_claim(&vm, GPA(8 * UNIT), 4 * UNIT), 0);
	assert_int_equal(other.result, 0);
	for (uint64_t i = 8; i < 12; i++) {
		assert_int_equal(vm.ram[i].v, HPA_NONE.v);
		assert_false(ptable_walk(&vm.ept, i * UNIT).present);
	}
	assert_in_range(memory_used(), before, before + 2);
	assert_int_equal(vm.ept.nr_removed, vm.ept.nr_flushed);
	finish();
}

/* Any requests of the one, with any of the other in between: as if the other had come first. */
static void test_walk_of_two(void **state)
{
	uint64_t there = BITS(31, 0);

	(void)state;
	start(GUEST_MAP_ALL, 64);
	for (unsigned int step = 0; step < 600; step++) {
		uint64_t first = 1 + seed_below(28), nr = 1 + seed_below(4), gen = vm.ept_gen;
		uint64_t mine = BITS(first + nr - 1, first), its;
		bool give = seed_below(2);
		int err;

		other_will(seed_below(2), 1 + seed_below(28), 1 + seed_below(4));
		its = BITS(other.first + other.nr - 1, other.first);
		before_stop = seed_below(2) ? other_acts : NULL;
		err = give ? guestram_release(&vm, GPA(first * UNIT), nr * UNIT)
			   : guestram_claim(&vm, GPA(first * UNIT), nr * UNIT);
		before_stop = NULL;
		if (other.result <= 0) { /* there was an in between */
			bool right = (there & its) == (other.gives ? its : 0);

			assert_int_equal(other.result, right ? 0 : -EINVAL);
			there ^= right ? its : 0;
		}
		assert_int_equal(err, (there & mine) == (give ? mine : 0) ? 0 : -EINVAL);
		there ^= err ? 0 : mine;
		for (uint64_t i = 1; i < 32; i++)
			assert_int_equal(guestmem_is_ram(&vm, GPA(i * UNIT), UNIT), there >> i & 1);
		/* Who enters the guest next sees that something has gone. */
		if (give && !err)
			assert_true(vm.ept_gen > gen);
		assert_int_equal(vm.ept_seen[0], vm.ept_gen > 1 ? vm.ept_gen : 0);
	}
	finish();
}

static int setup(void **state)
{
	(void)state;
	seed_start(1);
	ptable_use_buddy();
	buddy_add(HPA(MiB(1)), HPA(GiB(4)));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),	      cmocka_unit_test(test_entries),
		cmocka_unit_test(test_release_claim), cmocka_unit_test(test_claim_is_clear),
		cmocka_unit_test(test_bad_ranges),    cmocka_unit_test(test_1g_leaves),
		cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_walk),
		cmocka_unit_test(test_both_want),     cmocka_unit_test(test_claimed_and_gone),
		cmocka_unit_test(test_walk_of_two),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
