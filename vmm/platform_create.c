/* SPDX-License-Identifier: MIT */
/* Making a platform: what of it is memory of its own. */
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/vmalloc.h"
#include "vmm/acpi.h"
#include "vmm/guestmem.h"
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

/* The disk is a boot module too: the guest has its own copy, in whole sectors, for as long as it lives. */
static int copy_disk(struct vm *vm)
{
	uint64_t sectors = DIV_ROUND_UP(vm->options.disk_len, BLK_SECTOR);
	char *copy;

	if (!sectors)
		return 0;
	copy = vmalloc(sectors * BLK_SECTOR, LOCAL, vm->owner); /* which clears */
	if (!copy)
		return -ENOMEM;
	memcpy(copy, vm->options.disk, vm->options.disk_len);
	platform_plug_disk(vm, copy, sectors);
	return 0;
}

/*
 * Words that a BIOS leaves in low memory, for kernels that ask it where COM1 is and how much RAM there is below the hole (IBM,
 * "PS/2 and PC BIOS Interface Technical Reference", "BIOS data area"). No extended BIOS data area: its word is 0.
 */
static int place_bios_data(struct vm *vm)
{
	static const struct {
		uint16_t gpa, value;
	} words[] = {
		{ 0x400, COM1_BASE }, { 0x413, 640 }, /* KiB */
	};
	int err = 0;

	for (unsigned int i = 0; !err && i < ARRAY_SIZE(words); i++)
		err = guestmem_write(vm, GPA(words[i].gpa), &words[i].value,
				     sizeof(words[i].value));
	return err;
}

int platform_create(struct vm *vm)
{
	int err;

	if (vm->options.platform != VM_PLATFORM_PIC && vm->options.platform != VM_PLATFORM_APIC)
		return 0;
	platform_start(vm);
	err = place_bios_data(vm);
	if (!err)
		err = copy_cmdline(vm);
	if (!err)
		err = copy_disk(vm);
	if (!err && vm->options.platform == VM_PLATFORM_APIC)
		err = acpi_place(vm);
	return err;
}

void platform_destroy(struct vm *vm)
{
	vfree(vm->platform.fwcfg.cmdline);
	vm->platform.fwcfg.cmdline = NULL;
	vfree(vm->platform.disk.data);
	vm->platform.disk.data = NULL;
}
