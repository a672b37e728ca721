/* SPDX-License-Identifier: MIT */
/* Guest RAM: where it comes from and where it goes. */
#include "vmm/guestram.h"
#include "arch/insn.h"
#include "arch/world.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"
#include "vmm/ept.h"
#include "vmm/guestmem.h"

enum mem_class guestram_class(const struct vm *vm)
{
	return vm->options.guest_map == GUEST_MAP_NONE ? SENSITIVE : LOCAL;
}

static void *run_alloc(const struct vm *vm, unsigned int order)
{
	enum mem_class class = guestram_class(vm);

	return page_alloc(order, class, class == LOCAL ? vm->owner : NULL);
}

/* A run of its own order, at @hpa. LOCAL blocks are scrubbed when they cease to be LOCAL. */
static void run_free(hpa_t hpa)
{
	struct page *run = pfn_to_page(hpa_to_pfn(hpa));
	void *hva = page_hva(run);

	if (!hva_is_local(hva))
		clear_words(hva, PAGE_SIZE << run->order);
	page_free(hva, run->order);
}

/*
 * The largest run that can be had for the guest's RAM from block @i on, and in *@nr its blocks. As aligned
 * in the guest as it is here, so that tables can map it by leaves as large. The guest's first GiB has a
 * hole, so no leaf of 1 GiB: it leaves runs of that size, which are few, to the next.
 */
static void *alloc_largest(const struct vm *vm, uint64_t i, uint64_t *nr)
{
	unsigned int order = bit_highest(vm->nr_ram - i) + PAGEBLOCK_ORDER;
	void *run = NULL;

	order = MIN(order, i ? bit_lowest(i) + PAGEBLOCK_ORDER : PAGE_ORDER_MAX - 1U);
	order = MIN(order, PAGE_ORDER_MAX);
	for (; !run && order >= PAGEBLOCK_ORDER; order--) {
		*nr = 1UL << (order - PAGEBLOCK_ORDER);
		run = run_alloc(vm, order);
	}
	/*
	 * What is LOCAL is all zero: this owner has not freed a page yet, so that each of these blocks has
	 * just become LOCAL, scrubbed.
	 */
	if (run && guestram_class(vm) == SENSITIVE)
		clear_words(run, *nr * PAGEBLOCK_SIZE);
	return run;
}

int guestram_create(struct vm *vm)
{
	vm->ram_bytes = MiB(vm->options.mem_mib);
	vm->nr_ram = DIV_ROUND_UP(vm->ram_bytes, PAGE_SIZE_2M);
	vm->ram = vmalloc(vm->nr_ram * sizeof(*vm->ram), LOCAL, vm->owner);
	if (!vm->ram)
		return -ENOMEM;
	for (uint64_t i = 0; i < vm->nr_ram; i++)
		vm->ram[i] = HPA_NONE;
	for (uint64_t i = 0, nr; i < vm->nr_ram; i += nr) {
		void *run = alloc_largest(vm, i, &nr);

		if (!run)
			return -ENOMEM;
		for (uint64_t k = 0; k < nr; k++)
			vm->ram[i + k] = HPA(hva_to_hpa(run).v + k * PAGEBLOCK_SIZE);
	}
	return guestram_class(vm) == SENSITIVE ? window_create(&vm->window, vm->owner) : 0;
}

void guestram_destroy(struct vm *vm)
{
	window_destroy(&vm->window);
	for (uint64_t i = 0, nr; vm->ram && i < vm->nr_ram; i += nr) {
		nr = 1;
		if (vm->ram[i].v == HPA_NONE.v)
			continue;
		nr = 1UL << (pfn_to_page(hpa_to_pfn(vm->ram[i]))->order - PAGEBLOCK_ORDER);
		run_free(vm->ram[i]);
	}
	vfree(vm->ram);
}

/* Whether the range is whole blocks inside of what the guest was made with, at least one. */
static bool are_blocks(const struct vm *vm, gpa_t gpa, uint64_t len)
{
	return len && IS_ALIGNED(gpa.v | len, PAGEBLOCK_SIZE) && gpa.v < vm->ram_bytes &&
	       len <= vm->ram_bytes - gpa.v;
}

/* Takes one block out of the run that it was allocated with. */
static void block_free(hpa_t block)
{
	struct page *run = page_head(pfn_to_page(hpa_to_pfn(block)));

	page_split(page_hva(run), run->order, PAGEBLOCK_ORDER);
	run_free(block);
}

/* What is taken or given at once: the caller's stack has room for it. */
struct blocks {
	hpa_t at[GUESTRAM_BLOCKS_MAX];
	uint64_t first, nr;
};

/* The world stands still: no vCPU is in the guest, and no handler holds an address of the RAM. */
static int take_out(struct vm *vm, gpa_t gpa, uint64_t len, struct blocks *b)
{
	int err;

	if (!guestmem_is_ram(vm, gpa, len))
		return -EINVAL;
	err = ept_unmap_ram(vm, gpa, len);
	for (uint64_t i = 0; !err && i < b->nr; i++) {
		b->at[i] = vm->ram[b->first + i];
		vm->ram[b->first + i] = HPA_NONE;
	}
	return err;
}

int guestram_release(struct vm *vm, gpa_t gpa, uint64_t len)
{
	struct blocks b = { .first = gpa.v / PAGEBLOCK_SIZE, .nr = len / PAGEBLOCK_SIZE };
	int err;

	if (!are_blocks(vm, gpa, len) || b.nr > GUESTRAM_BLOCKS_MAX)
		return -EINVAL;
	world_stop();
	err = take_out(vm, gpa, len, &b);
	world_resume();
	if (err)
		return err;
	for (uint64_t i = 0; i < b.nr; i++)
		block_free(b.at[i]);
	/* The pool keeps idle blocks, and keeps them mapped: not these. */
	mem_owner_trim(vm->owner);
	/* Other CPUs in the domain may still have a page of a block that a window showed. */
	if (vm->window.table)
		asi_flush_owner(vm->owner, 0, ~0UL);
	return 0;
}

/* Cleared memory for @b, all or nothing. */
static int blocks_alloc(const struct vm *vm, struct blocks *b)
{
	for (uint64_t i = 0; i < b->nr; i++) {
		void *block = run_alloc(vm, PAGEBLOCK_ORDER);

		if (!block) {
			while (i--)
				run_free(b->at[i]);
			return -ENOMEM;
		}
		clear_words(block, PAGEBLOCK_SIZE);
		b->at[i] = hva_to_hpa(block);
	}
	return 0;
}

/* Unless another vCPU was first. */
static int put_in(struct vm *vm, const struct blocks *b)
{
	for (uint64_t i = 0; i < b->nr; i++)
		if (vm->ram[b->first + i].v != HPA_NONE.v)
			return -EINVAL;
	for (uint64_t i = 0; i < b->nr; i++)
		vm->ram[b->first + i] = b->at[i];
	return 0;
}

static int map_blocks(struct vm *vm, const struct blocks *b)
{
	int err = 0;

	for (uint64_t i = 0; !err && i < b->nr; i++)
		err = ept_map_ram(vm, GPA((b->first + i) * PAGEBLOCK_SIZE));
	return err == -EFAULT ? 0 : err; /* another vCPU has given it back meanwhile */
}

int guestram_claim(struct vm *vm, gpa_t gpa, uint64_t len)
{
	struct blocks b = { .first = gpa.v / PAGEBLOCK_SIZE, .nr = len / PAGEBLOCK_SIZE };
	int err;

	if (!are_blocks(vm, gpa, len) || b.nr > GUESTRAM_BLOCKS_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < b.nr; i++)
		if (READ_ONCE(vm->ram[b.first + i].v) != HPA_NONE.v)
			return -EINVAL;
	err = blocks_alloc(vm, &b);
	if (err)
		return err;
	world_stop();
	err = put_in(vm, &b);
	world_resume();
	if (err) {
		for (uint64_t i = 0; i < b.nr; i++)
			run_free(b.at[i]);
		return err;
	}
	err = map_blocks(vm, &b);
	/* Its leaves are 2 MiB or absent: nothing is split, so this does not fail but where it is gone already. */
	if (err && guestram_release(vm, gpa, len))
		log_error("guest %s: claimed RAM was given back by two", vm->options.name);
	return err;
}
