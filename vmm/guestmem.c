/* SPDX-License-Identifier: MIT */
/* Guest RAM by guest-physical address, and the guest's own translation of linear addresses. */
#include "vmm/guestmem.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/cpuid.h"
#include "vmm/guestwalk.h"

static bool in_hole(const struct vm *vm, uint64_t gpa, uint64_t len)
{
	return !vm->hole_is_ram &&
	       ranges_overlap(gpa, len, GUEST_HOLE_START, GUEST_HOLE_END - GUEST_HOLE_START);
}

bool guestmem_is_ram(const struct vm *vm, gpa_t gpa, uint64_t len)
{
	if (gpa.v >= vm->ram_bytes || len > vm->ram_bytes - gpa.v)
		return false;
	for (uint64_t i = gpa.v / PAGE_SIZE_2M; i * PAGE_SIZE_2M < gpa.v + len; i++)
		if (vm->ram[i].v == HPA_NONE.v) /* given back */
			return false;
	return !in_hole(vm, gpa.v, len);
}

/* The frame of the page around @gpa, HPA_NONE if that is no RAM: the hole and the end of RAM lie on pages. */
static hpa_t frame_of(const struct vm *vm, gpa_t gpa)
{
	hpa_t block;

	if (gpa.v >= vm->ram_bytes || in_hole(vm, gpa.v, 1))
		return HPA_NONE;
	block = vm->ram[gpa.v / PAGE_SIZE_2M];
	if (block.v == HPA_NONE.v)
		return HPA_NONE;
	return HPA(block.v + ALIGN_DOWN(gpa.v % PAGE_SIZE_2M, PAGE_SIZE));
}

/* Two bytes of any object, at any address. */
typedef uint16_t __attribute__((may_alias, aligned(1))) pair_t;

static __always_inline void copy(char *ram, char *buf, size_t len, bool write)
{
	char *to = write ? ram : buf, *from = write ? buf : ram;

	if (len == sizeof(uint16_t))
		WRITE_ONCE(*(pair_t *)to, READ_ONCE(*(const pair_t *)from));
	else
		memcpy(to, from, len);
}

static __always_inline int copy_all(const struct vm *vm, gpa_t gpa, char *buf, size_t len,
				    bool write)
{
	while (len) {
		uint64_t offset = gpa.v % PAGE_SIZE;
		size_t n = MIN(len, PAGE_SIZE - offset);
		hpa_t frame = frame_of(vm, gpa);

		if (frame.v == HPA_NONE.v)
			return -EFAULT;
		if (vm->window.table) {
			struct window_page page = window_open(&vm->window, frame);

			copy((char *)page.hva + offset, buf, n, write);
			window_close(&vm->window, page);
		} else {
			copy((char *)hpa_to_local(frame) + offset, buf, n, write);
		}
		buf += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	return copy_all(vm, gpa, buf, len, false);
}

int guestmem_read_entry(const struct vm *vm, gpa_t gpa, bool wide, uint64_t *entry)
{
	hpa_t frame = frame_of(vm, gpa);
	const char *at;

	*entry = 0;
	if (unlikely(vm->window.table))
		return guestmem_read(vm, gpa, entry, wide ? 8 : 4);
	if (frame.v == HPA_NONE.v)
		return -EFAULT;
	at = (const char *)hpa_to_local(frame) + gpa.v % PAGE_SIZE;
	*entry = wide ? *(const volatile uint64_t *)at : *(const volatile uint32_t *)at;
	return 0;
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	return copy_all(vm, gpa, (char *)(uintptr_t)buf, len, true);
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
	/* SDM, "PDPTE registers": without long mode the walk starts from these, not from memory. */
	for (uint32_t i = 0; i < ARRAY_SIZE(p.pdpte) && !(p.efer & EFER_LMA); i++)
		p.pdpte[i] = vmcs_read(VMCS_GUEST_PDPTE0 + 2 * i);
	return guestwalk(v->vm, &p, gva, access, gpa, error);
}
