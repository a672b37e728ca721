/* SPDX-License-Identifier: MIT */
/* Secrets of a VM (asi/secrets.h): in LOCAL memory made for it, and in what it has anyway. */
#pragma once
#include "vmm/vm.h"

/* The VM has not run yet. 0 or -ENOMEM. */
__must_check int vm_plant_secrets(const struct vm *vm);
