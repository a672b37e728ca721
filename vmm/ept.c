/* SPDX-License-Identifier: MIT */
/* EPT of a guest's RAM: leaves of 2 MiB but where RAM has a hole or an end inside of one. */
#include "vmm/ept.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "vmm/guestmem.h"

int ept_create(struct vm *vm)
{
	int err = ptable_init(&vm->ept, &pt_ept_format, LOCAL, vm->owner);

	if (err)
		return err;
	/* Without accessed and dirty bits: the CPU then never writes the tables. */
	vm->eptp = vm->ept.root.v | EPTP_WB | EPTP_WALK_4;
	/* The root may have been another guest's; nobody can use what is cached of it until now. */
	vmx_flush_ept(vm->eptp);
	return 0;
}

void ept_destroy(struct vm *vm)
{
	if (!vm->eptp)
		return;
	ptable_destroy(&vm->ept);
	vm->eptp = 0;
}

int ept_map_ram(struct vm *vm, gpa_t gpa)
{
	uint64_t large = ALIGN_DOWN(gpa.v, PAGE_SIZE_2M);
	unsigned int level = guestmem_is_ram(vm, GPA(large), PAGE_SIZE_2M) ? 1 : 0;
	uint64_t size = pt_level_size(level), at = ALIGN_DOWN(gpa.v, size);
	int err;

	if (!guestmem_is_ram(vm, GPA(at), size))
		return -EFAULT;
	err = ptable_prepare(&vm->ept, at, size, level);
	if (err)
		return err;
	/* Two violations for one page, since what the CPU caches may be behind the tables. */
	if (ptable_walk(&vm->ept, at).present)
		return 0;
	ptable_map(&vm->ept, at, HPA(vm->ram[at / PAGE_SIZE_2M].v + at % PAGE_SIZE_2M), size, level,
		   PROT_RWX);
	vm->ept_mapped += size;
	return 0;
}
