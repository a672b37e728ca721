/* SPDX-License-Identifier: MIT */
/* Where a VM's own memory has 16 bytes that neither it nor the guest uses. */
#include "vmm/secrets.h"
#include "asi/secrets.h"
#include "lib/bitops.h"
#include "vmm/vcpu.h"

/*
 * SDM, "Legacy Region of an XSAVE Area": bytes 511:464 are available to software, neither written nor read
 * by the CPU.
 */
#define XSAVE_SPARE 464

/* The end of the last page of a vmalloc area for @size bytes, if that is not the object's own. */
static void plant_tail(void *area, size_t size, const char *what, const struct mem_owner *owner)
{
	size_t len = ALIGN_UP(size, PAGE_SIZE);

	if (len - size >= SECRET_SIZE)
		secrets_plant((char *)area + len - SECRET_SIZE, what, owner);
}

/*
 * The last bytes of the guest's RAM, if the loader has put nothing there. A guest that writes them has
 * overwritten its secret; one that expects zero memory up to the last byte should not run so.
 */
static void plant_ram(const struct vm *vm)
{
	bool mapped = vm->options.guest_map == GUEST_MAP_ALL;
	uint64_t gpa = vm->ram_bytes - SECRET_SIZE;
	hpa_t block = vm->ram[gpa / PAGE_SIZE_2M];
	const uint64_t *at;

	if (block.v == HPA_NONE.v)
		return;
	at = hpa_to_local(HPA(block.v + gpa % PAGE_SIZE_2M));
	if (!at[0] && !at[1])
		secrets_plant((void *)at, "guest RAM", mapped ? vm->owner : NULL);
}

static void plant_vcpu(struct vcpu *v)
{
	plant_tail(v, sizeof(*v), "the page of struct vcpu", v->owner);
	secrets_plant((char *)v->stack.top - VCPU_STACK_SIZE, "the far end of a vCPU's stack",
		      v->owner);
	secrets_plant((char *)v->xsave_area + XSAVE_SPARE, "an XSAVE area", v->owner);
}

int vm_plant_secrets(const struct vm *vm)
{
	plant_tail((void *)vm, sizeof(*vm), "the page of struct vm", vm->owner);
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		plant_vcpu(vm->vcpus[id]);
	plant_ram(vm);
	return secrets_plant_class(LOCAL, vm->owner);
}
