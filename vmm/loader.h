/* SPDX-License-Identifier: MIT */
/* A guest's first contents: image, modules, boot information, and the entry state. */
#pragma once
#include "vmm/mbi.h"
#include "vmm/vm.h"

/*
 * Fills in what @options leave to the kind of image: memory and platform. A Linux kernel gets 128 MiB and a PC
 * with I/O APIC and ACPI; any other image 64 MiB and nothing but COM1.
 */
void loader_defaults(struct vm_options *options, const void *image, size_t len);

/*
 * Loads what vm_create() was given into the RAM of @vm, which is all zero, and readies its vCPU.
 * 0, or -errno with a line in the log that says why. Unrestricted.
 */
__must_check int loader_load(struct vm *vm, const void *image, size_t len,
			     const struct vm_module *modules, unsigned int nr_modules);

/* The guest's RAM as it is told of it, ascending; how many ranges. */
#define LOADER_RAM_MAX 2 /* below the hole, and above it */
uint32_t loader_ram(const struct vm *vm, struct guest_ram ram[LOADER_RAM_MAX]);

/* loader_linux.c: loader_load() for a bzImage; its one module is the initrd. */
__must_check int loader_load_linux(struct vm *vm, const void *image, size_t len,
				   const struct vm_module *modules, unsigned int nr_modules);
