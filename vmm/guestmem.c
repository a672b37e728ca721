/* SPDX-License-Identifier: MIT */
/* Guest RAM by guest-physical address, and the guest's own translation of linear addresses. */
#include "vmm/guestmem.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/cpuid.h"
#include "vmm/guestwalk.h"

bool guestmem_is_ram(const struct vm *vm, gpa_t gpa, uint64_t len)
{
	if (gpa.v >= vm->ram_bytes || len > vm->ram_bytes - gpa.v)
		return false;
	return !ranges_overlap(gpa.v, len, GUEST_HOLE_START, GUEST_HOLE_END - GUEST_HOLE_START);
}

/* The local-window address of @len bytes at @gpa if they are RAM and lie in one page; else NULL. */
static void *ram_hva(const struct vm *vm, gpa_t gpa, size_t len)
{
	if (len > PAGE_SIZE - gpa.v % PAGE_SIZE || !guestmem_is_ram(vm, gpa, len))
		return NULL;
	return (char *)hpa_to_local(vm->ram[gpa.v / PAGE_SIZE_2M]) + gpa.v % PAGE_SIZE_2M;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	char *to = buf;

	while (len) {
		size_t n = MIN(len, PAGE_SIZE - gpa.v % PAGE_SIZE);
		const void *from = ram_hva(vm, gpa, n);

		if (!from)
			return -EFAULT;
		memcpy(to, from, n);
		to += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	const char *from = buf;

	while (len) {
		size_t n = MIN(len, PAGE_SIZE - gpa.v % PAGE_SIZE);
		void *to = ram_hva(vm, gpa, n);

		if (!to)
			return -EFAULT;
		memcpy(to, from, n);
		from += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

int guestmem_translate(struct vcpu *v, gva_t gva, uint32_t access, gpa_t *gpa, uint32_t *error)
{
	/* The bits of CR0 and CR4 that count here are the guest's own, or the same in the shadow. */
	struct guest_paging p = {
		.cr0 = vmcs_read(VMCS_GUEST_CR0),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = vmcs_read(VMCS_GUEST_CR4),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
		.phys_mask = guest_cpu()->phys_mask,
	};

	if (vcpu_cpl(v) == 3)
		access |= PF_USER;
	/* SDM, "PDPTE registers": the walk starts from these, not from memory. */
	for (uint32_t i = 0; i < ARRAY_SIZE(p.pdpte); i++)
		p.pdpte[i] = vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i);
	return guestwalk(v->vm, &p, gva, access, gpa, error);
}
