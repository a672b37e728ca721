/* SPDX-License-Identifier: MIT */
/*
 * The blocks of 2 MiB that are a guest's RAM: taken when the VM is made (docs/decisions/0005), given back
 * when it ends, or earlier if it says so. LOCAL with guest-map=all, SENSITIVE with guest-map=none.
 * All of it unrestricted and with no lock held. Its vCPUs may run: while one gives RAM back, the world stands still.
 */
#pragma once
#include "vmm/abi.h"
#include "vmm/vm.h"

#define GUESTRAM_BLOCKS_MAX \
	(HC_MEMORY_MAX / HC_MEMORY_UNIT) /* that are given back, or claimed, at once */

/* Which class: that of @vm's guest-map=. */
enum mem_class guestram_class(const struct vm *vm);

/* All that options.mem_mib asks for, cleared, and the window if it needs one. 0 or -ENOMEM: then destroy. */
__must_check int guestram_create(struct vm *vm);
void guestram_destroy(struct vm *vm);

/*
 * Takes RAM away: out of EPT, out of the restricted space, flushed, scrubbed and free when this returns. 0;
 * -EINVAL if the range is no whole units that are RAM; -ENOMEM, nothing changed, for a table.
 */
__must_check int guestram_release(struct vm *vm, gpa_t gpa, uint64_t len);

/*
 * Gives released RAM again, cleared and mapped by EPT. 0; -EINVAL if the range is no whole units that were
 * released; -ENOMEM, nothing changed.
 */
__must_check int guestram_claim(struct vm *vm, gpa_t gpa, uint64_t len);
