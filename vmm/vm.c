/* SPDX-License-Identifier: MIT */
/* Making and unmaking VMs: memory, domain, second-stage tables, vCPU, first contents. */
#include "vmm/vm.h"
#include "arch/fpu.h"
#include "arch/vmx.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/kmalloc.h"
#include "mm/vmalloc.h"
#include "vmm/apicv.h"
#include "vmm/cpuid.h"
#include "vmm/ept.h"
#include "vmm/guestram.h"
#include "vmm/loader.h"
#include "vmm/owner.h"
#include "vmm/platform.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"

/* What a VM needs besides its RAM: tables, vCPU, statistics, and the rest of begun pageblocks. */
#define OVERHEAD_MIB 6

static struct vm *vms[OWNER_MAX + 1]; /* by the number of the owner */

struct vm *vm_get(unsigned int owner_id)
{
	return vms[owner_id];
}

int __init vm_init_cpu(void *region)
{
	int err = vmx_on(hva_to_hpa(region).v, region);

	if (!err)
		fpu_init();
	return err;
}

int __init vm_init(void)
{
	void *region = page_zalloc(0, SENSITIVE, NULL); /* the CPU's, for as long as VMX is on */
	int err = region ? vmcs_init() : -ENOMEM;

	if (!err)
		err = vm_init_cpu(region);
	if (err) {
		log_error("%s; guests cannot run",
			  err == -ENOMEM ? "no memory for VMX" : "VMXON failed");
		return err;
	}
	exit_cpuid_init();
	return 0;
}

static int check_memory(const struct vm_options *o)
{
	struct buddy_stats s;
	uint64_t free_mib, disk_mib = DIV_ROUND_UP(o->disk_len, MiB(1));

	vmalloc_flush(); /* what is freed counts as free */
	buddy_get_stats(&s);
	free_mib = s.free_pages[SENSITIVE] * PAGE_SIZE / MiB(1);
	if (free_mib < OVERHEAD_MIB + disk_mib || o->mem_mib > free_mib - OVERHEAD_MIB - disk_mib) {
		log_error("guest %s: mem=%lu%s is more than the machine has: %lu MiB are free",
			  o->name, o->mem_mib, disk_mib ? " with its disk" : "", free_mib);
		return -ENOMEM;
	}
	return 0;
}

/* The owner of all LOCAL memory and its domain, then the VM itself in such memory. */
static int vm_alloc(const struct vm_options *options, struct vm **out)
{
	struct mem_owner *owner;
	struct asi *asi = NULL;
	struct vm *vm = NULL;
	int err = owner_create(NULL, &owner);

	if (err)
		return err;
	if (options->domain == VM_DOMAIN_VM)
		err = owner_domain(owner, ASI_GUEST_VM, options, &asi);
	if (!err && !kmalloc_create(owner))
		vm = vmalloc(sizeof(*vm), LOCAL, owner);
	if (!vm) {
		owner_destroy(owner, asi);
		return -ENOMEM;
	}
	vm->options = *options;
	spin_init(&vm->lock, LOCK_VM);
	vm->owner = owner;
	vm->asi = asi;
	*out = vm;
	return 0;
}

static int vm_fill(struct vm *vm)
{
	int err = guestram_create(vm);

	if (!err)
		err = platform_create(vm);
	if (!err)
		err = ept_create(vm);
	if (!err && apicv_is_wanted(&vm->options) && vmx_has_apic_access())
		err = ept_map_apic_page(vm);
	for (uint32_t id = 0; !err && id < vm->options.cpus; id++) {
		err = vcpu_create(vm, id, &vm->vcpus[id]);
		vm->nr_vcpus += !err;
	}
	return err;
}

int vm_create(const struct vm_options *options, const void *image, size_t len,
	      const struct vm_module *modules, unsigned int nr_modules, struct vm **out)
{
	struct vm *vm = NULL;
	int err = check_memory(options);

	if (err)
		return err;
	err = vm_alloc(options, &vm);
	if (!err)
		err = vm_fill(vm);
	if (err)
		log_error("guest %s: %s", options->name,
			  err == -ENOSPC ? "too many guests" : "memory has run out");
	else
		err = loader_load(vm, image, len, modules, nr_modules);
	vcpu_put(); /* from here on any CPU may run it */
	if (err && vm)
		vm_destroy(vm);
	if (!err)
		*out = vms[vm->owner->id] = vm;
	return err;
}

void vm_destroy(struct vm *vm)
{
	struct mem_owner *owner = vm->owner;
	struct asi *asi = vm->asi;

	asi_exit(); /* its domain is current nowhere from here on */
	vcpu_put();
	vms[owner->id] = NULL;
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		vcpu_destroy(vm->vcpus[id]);
	ept_destroy(vm);
	platform_destroy(vm);
	guestram_destroy(vm);
	vfree(vm);
	owner_destroy(owner, asi);
}

void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code)
{
	ASSERT(verdict != VERDICT_NONE);
	if (__atomic_exchange_n(&vm->stopping, true, __ATOMIC_SEQ_CST))
		return;
	vm->reason = reason;
	vm->code = code;
	__atomic_store_n(&vm->verdict, verdict, __ATOMIC_SEQ_CST);
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		post_look(vm, id);
}

void vm_stop_all(const char *reason)
{
	for (unsigned int id = 0; id <= OWNER_MAX; id++)
		if (vms[id])
			vm_stop(vms[id], VERDICT_STOPPED, reason, 0);
}
