/* SPDX-License-Identifier: MIT */
/* EPT of a guest's RAM: leaves of 1 GiB and 2 MiB but where RAM has a hole or an end inside of one. */
#include "vmm/ept.h"
#include "arch/percpu.h"
#include "arch/vmx.h"
#include "arch/vmxcpu.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/page.h"
#include "vmm/guestmem.h"
#include "vmm/lapic.h"

int ept_create(struct vm *vm)
{
	int err = ptable_init(&vm->ept, &pt_ept_format, LOCAL, vm->owner);

	if (err)
		return err;
	/* Without accessed and dirty bits: the CPU then never writes the tables. */
	vm->eptp = vm->ept.root.v | EPTP_WB | EPTP_WALK_4;
	vm->ept_gen =
		1; /* the root may have been another guest's: no CPU has seen that it is new */
	return 0;
}

void ept_destroy(struct vm *vm)
{
	if (!vm->eptp)
		return;
	ptable_destroy(&vm->ept);
	vm->eptp = 0;
	if (vm->apic_page.v)
		page_free(hpa_to_local(vm->apic_page), 0);
}

/* SDM, "Issues Pertaining to Page Size and TLB Management": by a leaf of 4 KiB. */
int ept_map_apic_page(struct vm *vm)
{
	void *page = page_zalloc(0, LOCAL, vm->owner);

	if (!page)
		return -ENOMEM;
	vm->apic_page = hva_to_hpa(page);
	if (ptable_prepare(&vm->ept, LAPIC_PAGE, PAGE_SIZE, 0))
		return -ENOMEM;
	ptable_map(&vm->ept, LAPIC_PAGE, vm->apic_page, PAGE_SIZE, 0, EPT_APIC_PAGE_PROT);
	return 0;
}

/* Whether a run of 1 GiB stands at @gpa: it is contiguous, and aligned to its size. */
static bool is_1g_run(const struct vm *vm, uint64_t gpa)
{
	hpa_t hpa = vm->ram[gpa / PAGE_SIZE_2M];
	const struct page *page = pfn_to_page(hpa_to_pfn(hpa));

	return hpa.v != HPA_NONE.v && page->state == PAGE_USED && page->order == PAGE_ORDER_MAX;
}
_Static_assert(PAGE_SIZE << PAGE_ORDER_MAX == PAGE_SIZE_1G, "the largest run is the largest leaf");

/* Of the largest leaf that may map @gpa; cheap questions first, as most guests have no whole GiB. */
static unsigned int leaf_level(const struct vm *vm, gpa_t gpa)
{
	uint64_t gib = ALIGN_DOWN(gpa.v, PAGE_SIZE_1G);

	if (gib + PAGE_SIZE_1G <= vm->ram_bytes && vmx_ept_has_1g() && is_1g_run(vm, gib) &&
	    guestmem_is_ram(vm, GPA(gib), PAGE_SIZE_1G))
		return 2;
	return guestmem_is_ram(vm, GPA(ALIGN_DOWN(gpa.v, PAGE_SIZE_2M)), PAGE_SIZE_2M) ? 1 : 0;
}

int ept_map_ram(struct vm *vm, gpa_t gpa)
{
	unsigned int level = leaf_level(vm, gpa);
	uint64_t size = pt_level_size(level), at = ALIGN_DOWN(gpa.v, size), flags;
	int err;

	if (level == 0 && !guestmem_is_ram(vm, GPA(at), size))
		return -EFAULT;
	err = ptable_prepare(&vm->ept, at, size, level);
	if (err)
		return err;
	flags = spin_lock(&vm->lock);
	/* Two violations for one page: another vCPU's, or one by what the CPU caches, which may be behind the tables. */
	if (!ptable_walk(&vm->ept, at).present)
		ptable_map(&vm->ept, at, HPA(vm->ram[at / PAGE_SIZE_2M].v + at % PAGE_SIZE_2M),
			   size, level, PROT_RWX);
	spin_unlock(&vm->lock, flags);
	return 0;
}

int ept_unmap_ram(struct vm *vm, gpa_t gpa, uint64_t len)
{
	uint64_t before = READ_ONCE(vm->ept.nr_removed);
	int err = ptable_unmap_exact(&vm->ept, gpa.v, len);

	/* Also if it has failed half-way: a leaf was split. The others flush before they enter the guest again. */
	vm->ept_gen++;
	vm->ept_seen[this_cpu(cpu_number)] = vm->ept_gen;
	vmx_flush_ept(vm->eptp);
	ptable_note_flush(&vm->ept, READ_ONCE(vm->ept.nr_removed) - before);
	return err;
}
