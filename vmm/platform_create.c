/* SPDX-License-Identifier: MIT */
/* Making a platform: what of it is memory of its own. */
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/vmalloc.h"
#include "vmm/acpi.h"
#include "vmm/platform.h"
#include "vmm/vm.h"

/* The command line is in a boot module, which no restricted space maps: fw_cfg has a copy. */
static int copy_cmdline(struct vm *vm)
{
	struct fwcfg *f = &vm->platform.fwcfg;
	size_t len = strlen(vm->options.args);
	char *copy;

	if (len >= UINT32_MAX)
		return -ENOMEM;
	copy = vmalloc(len + 1, LOCAL, vm->owner);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, vm->options.args, len);
	f->cmdline = copy;
	f->cmdline_len = (uint32_t)len;
	return 0;
}

int platform_create(struct vm *vm)
{
	int err;

	if (vm->options.platform != VM_PLATFORM_PIC && vm->options.platform != VM_PLATFORM_APIC)
		return 0;
	platform_start(vm);
	err = copy_cmdline(vm);
	if (!err && vm->options.platform == VM_PLATFORM_APIC)
		err = acpi_place(vm);
	return err;
}

void platform_destroy(struct vm *vm)
{
	vfree(vm->platform.fwcfg.cmdline);
	vm->platform.fwcfg.cmdline = NULL;
}
