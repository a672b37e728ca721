/* SPDX-License-Identifier: MIT */
/* Copies what the plan of vmm/multiboot.h says. Bounds are the plan's and guestmem's, both checked. */
#include "vmm/loader.h"
#include "arch/vmx.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/vmalloc.h"
#include "vmm/bzimage.h"
#include "vmm/guestmem.h"
#include "vmm/multiboot.h"
#include "vmm/vcpu.h"

#define MEM_MIB_DEFAULT	      64
#define MEM_MIB_LINUX_DEFAULT 128

struct load {
	struct vm *vm;
	const char *image;
	struct image_plan plan;
	struct guest_ram ram[LOADER_RAM_MAX];
	struct guest_boot boot;
	gpa_t info;
	char why[IMAGE_WHY_SIZE];
};

uint32_t loader_ram(const struct vm *vm, struct guest_ram ram[LOADER_RAM_MAX])
{
	uint64_t end = vm->ram_bytes;

	ram[0] = (struct guest_ram){ GPA(0), MIN(end, GUEST_HOLE_START) };
	if (end <= GUEST_HOLE_END)
		return 1;
	ram[1] = (struct guest_ram){ GPA(GUEST_HOLE_END), end - GUEST_HOLE_END };
	return 2;
}

/* With a local APIC, unless that has been refused or RAM reaches to where it is. */
static void choose_pc(struct vm_options *o)
{
	if (!o->apic_given)
		o->apic = o->mem_mib <= APIC_MEM_MIB_MAX;
	o->platform = o->apic ? VM_PLATFORM_APIC : VM_PLATFORM_PIC;
}

void loader_defaults(struct vm_options *options, const void *image, size_t len)
{
	bool is_linux = bzimage_is(image, len);

	if (!options->mem_mib)
		options->mem_mib = is_linux ? MEM_MIB_LINUX_DEFAULT : MEM_MIB_DEFAULT;
	if (options->platform != VM_PLATFORM_DEFAULT)
		return;
	options->platform = VM_PLATFORM_NONE;
	if (is_linux)
		choose_pc(options);
}

/* The plan has been checked against the RAM: a failing copy is our bug, but no reason to panic. */
static int copy_segments(const struct load *l)
{
	for (uint32_t i = 0; i < l->plan.nr_segs; i++) {
		const struct image_segment *s = &l->plan.seg[i];
		int err = guestmem_write(l->vm, s->gpa, l->image + s->offset, s->filesz);

		if (err)
			return err;
	}
	return 0;
}

static int copy_modules(const struct load *l, const struct vm_module *modules)
{
	for (uint32_t i = 0; i < l->boot.nr_modules; i++) {
		int err = guestmem_write(l->vm, l->boot.modules[i].start, modules[i].data,
					 modules[i].len);

		if (err)
			return err;
	}
	return 0;
}

static int copy_info(const struct load *l)
{
	size_t size = mbi_size(&l->boot), len;
	void *buf = vmalloc(size, SENSITIVE, NULL);
	int err = -ENOMEM;

	if (buf) {
		err = mbi_build(&l->boot, l->info, buf, size, &len);
		if (!err)
			err = guestmem_write(l->vm, l->info, buf, len);
	}
	vfree(buf);
	return err;
}

static int load_with(struct load *l, size_t len, const struct vm_module *modules)
{
	const char *name = l->vm->options.name;
	int err = image_parse(l->image, len, &l->plan, l->why, sizeof(l->why));

	if (!err)
		err = image_place(&l->plan, &l->boot, &l->info, l->why, sizeof(l->why));
	if (err) {
		log_error("guest %s: %s", name, l->why);
		return err;
	}
	err = copy_segments(l);
	if (!err)
		err = copy_modules(l, modules);
	if (!err)
		err = copy_info(l);
	if (err) {
		log_error("guest %s: loading failed (%d)", name, err);
		return err;
	}
	vcpu_set_multiboot_entry(l->vm->vcpus[0], l->plan.entry, (uint32_t)l->info.v);
	return 0;
}

static int load_multiboot(struct vm *vm, const void *image, size_t len,
			  const struct vm_module *modules, unsigned int nr_modules)
{
	/* Too large for a stack together; vmalloc clears. */
	struct load *l = vmalloc(sizeof(*l), SENSITIVE, NULL);
	struct guest_module *placed = vmalloc((nr_modules + 1) * sizeof(*placed), SENSITIVE, NULL);
	int err = -ENOMEM;

	if (l && placed) {
		l->vm = vm;
		l->image = image;
		l->boot.ram = l->ram;
		l->boot.nr_ram = loader_ram(vm, l->ram);
		l->boot.name = vm->options.name;
		l->boot.args = vm->options.args;
		l->boot.modules = placed;
		l->boot.nr_modules = nr_modules;
		for (unsigned int i = 0; i < nr_modules; i++)
			placed[i] = (struct guest_module){ .len = modules[i].len,
							   .cmdline = modules[i].cmdline };
		err = load_with(l, len, modules);
	} else {
		log_error("guest %s: not enough memory to load it", vm->options.name);
	}
	vfree(placed);
	vfree(l);
	return err;
}

int loader_load(struct vm *vm, const void *image, size_t len, const struct vm_module *modules,
		unsigned int nr_modules)
{
	if (bzimage_is(image, len))
		return loader_load_linux(vm, image, len, modules, nr_modules);
	return load_multiboot(vm, image, len, modules, nr_modules);
}
