/* SPDX-License-Identifier: MIT */
/* Owners of LOCAL memory: each VM is one, and with "domain=vcpu" each vCPU, with its VM as parent. */
#pragma once
#include "asi/asi.h"
#include "vmm/vmoptions.h"

/*
 * A new owner, with a number that no other has; @parent is NULL for a VM. 0, -ENOMEM, or -ENOSPC if no
 * number is free. Unrestricted.
 */
__must_check int owner_create(struct mem_owner *parent, struct mem_owner **out);
/*
 * Its domain of @class, as strict as @options want it; *@out is NULL with ASI off. It has no memory yet.
 * 0 or -ENOMEM.
 */
__must_check int owner_domain(struct mem_owner *owner, enum asi_class_id class,
			      const struct vm_options *options, struct asi **out);
/* Ends it with the caller's reference to @asi, its domain or NULL. It has freed all its memory. */
void owner_destroy(struct mem_owner *owner, struct asi *asi);
