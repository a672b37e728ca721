/* SPDX-License-Identifier: MIT */
/* Copies what the plan of vmm/bzimage.h says, and readies the vCPU for the 32-bit boot protocol. */
#include "arch/vmx.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/vmalloc.h"
#include "vmm/bzimage.h"
#include "vmm/guestmem.h"
#include "vmm/loader.h"
#include "vmm/multiboot.h"
#include "vmm/vcpu.h"

static int copy_info(struct vm *vm, const void *image, const struct bzimage_plan *plan,
		     const struct bzimage_boot *boot)
{
	size_t size = bzimage_info_size(boot);
	void *buf = vmalloc(size, SENSITIVE, NULL); /* which clears */
	int err = -ENOMEM;

	if (buf) {
		bzimage_build(image, plan, boot, buf);
		err = guestmem_write(vm, GPA(BZIMAGE_INFO), buf, size);
	}
	vfree(buf);
	return err;
}

/*
 * "32-bit Boot Protocol": flat segments with these selectors from a GDT that has them, paging and interrupts off, ESI at
 * boot_params. What is not written here is as vcpu_create() has left it, flat and off.
 */
static void set_entry(struct vcpu *v, const struct bzimage_plan *plan)
{
	static const uint32_t data_selectors[] = {
		VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_DS_SELECTOR, VMCS_GUEST_ES_SELECTOR,
		VMCS_GUEST_FS_SELECTOR, VMCS_GUEST_GS_SELECTOR,
	};

	vcpu_load(v);
	memset(v->regs, 0, sizeof(v->regs));
	v->regs[RSI] = BZIMAGE_INFO;
	vmcs_write(VMCS_GUEST_CS_SELECTOR, BZIMAGE_CS);
	for (unsigned int i = 0; i < ARRAY_SIZE(data_selectors); i++)
		vmcs_write(data_selectors[i], BZIMAGE_DS);
	vmcs_write(VMCS_GUEST_GDTR_BASE, BZIMAGE_GDT);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, BZIMAGE_GDT_SIZE - 1);
	vmcs_write(VMCS_GUEST_RIP, plan->start.v);
}

int loader_load_linux(struct vm *vm, const void *image, size_t len, const struct vm_module *modules,
		      unsigned int nr_modules)
{
	const char *name = vm->options.name;
	struct guest_ram ram[LOADER_RAM_MAX];
	struct bzimage_plan plan;
	struct bzimage_boot boot = { .ram = ram, .cmdline = vm->options.args };
	char why[IMAGE_WHY_SIZE];
	int err;

	boot.nr_ram = loader_ram(vm, ram);
	boot.initrd_len = nr_modules ? modules[0].len : 0;
	if (nr_modules > 1) {
		log_error("guest %s: a Linux kernel takes one initrd, not %u modules", name,
			  nr_modules);
		return -EINVAL;
	}
	err = bzimage_parse(image, len, &plan, why, sizeof(why));
	if (!err)
		err = bzimage_place(&plan, &boot, why, sizeof(why));
	if (err) {
		log_error("guest %s: %s", name, why);
		return err;
	}
	err = guestmem_write(vm, plan.start, (const char *)image + plan.offset, plan.len);
	if (!err && boot.initrd_len)
		err = guestmem_write(vm, boot.initrd, modules[0].data, boot.initrd_len);
	if (!err)
		err = copy_info(vm, image, &plan, &boot);
	if (err) {
		log_error("guest %s: loading failed (%d)", name, err);
		return err;
	}
	set_entry(vm->vcpus[0], &plan);
	return 0;
}
