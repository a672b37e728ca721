/* SPDX-License-Identifier: MIT */
/* A guest's first contents: image, modules, boot information, and the entry state. */
#pragma once
#include "vmm/vm.h"

/*
 * Loads what vm_create() was given into the RAM of @vm, which is all zero, and readies its vCPU.
 * 0, or -errno with a line in the log that says why. Unrestricted.
 */
__must_check int loader_load(struct vm *vm, const void *image, size_t len,
			     const struct vm_module *modules, unsigned int nr_modules);
