/* SPDX-License-Identifier: MIT */
/* Guest RAM: where it comes from and where it goes. */
#include "vmm/guestram.h"
#include "arch/insn.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
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
static void block_release(struct vm *vm, uint64_t i)
{
	struct page *run = page_head(pfn_to_page(hpa_to_pfn(vm->ram[i])));

	page_split(page_hva(run), run->order, PAGEBLOCK_ORDER);
	run_free(vm->ram[i]);
	vm->ram[i] = HPA_NONE;
}

int guestram_release(struct vm *vm, gpa_t gpa, uint64_t len)
{
	int err;

	if (!are_blocks(vm, gpa, len) || !guestmem_is_ram(vm, gpa, len))
		return -EINVAL;
	err = ept_unmap_ram(vm, gpa, len);
	if (err)
		return err;
	for (uint64_t at = gpa.v; at < gpa.v + len; at += PAGEBLOCK_SIZE)
		block_release(vm, at / PAGEBLOCK_SIZE);
	/* The pool keeps idle blocks, and keeps them mapped: not these. */
	mem_owner_trim(vm->owner);
	/* Other CPUs in the domain may still have a page of a block that a window showed. */
	if (vm->window.table)
		asi_flush_owner(vm->owner, 0, ~0UL);
	return 0;
}

static int block_claim(struct vm *vm, uint64_t i)
{
	void *block = run_alloc(vm, PAGEBLOCK_ORDER);

	if (!block)
		return -ENOMEM;
	clear_words(block, PAGEBLOCK_SIZE);
	vm->ram[i] = hva_to_hpa(block);
	return ept_map_ram(vm, GPA(i * PAGEBLOCK_SIZE));
}

/* Undoes block_claim(), however far it came. */
static void block_unclaim(struct vm *vm, uint64_t i)
{
	int err;

	if (vm->ram[i].v == HPA_NONE.v)
		return;
	err = guestram_release(vm, GPA(i * PAGEBLOCK_SIZE), PAGEBLOCK_SIZE);
	ASSERT(!err); /* its leaf is 2 MiB or absent: nothing is split */
}

int guestram_claim(struct vm *vm, gpa_t gpa, uint64_t len)
{
	uint64_t first = gpa.v / PAGEBLOCK_SIZE, end = first + len / PAGEBLOCK_SIZE;
	int err = 0;

	if (!are_blocks(vm, gpa, len))
		return -EINVAL;
	for (uint64_t i = first; i < end; i++)
		if (vm->ram[i].v != HPA_NONE.v)
			return -EINVAL;
	for (uint64_t i = first; !err && i < end; i++)
		err = block_claim(vm, i);
	for (uint64_t i = first; err && i < end; i++)
		block_unclaim(vm, i);
	return err;
}
