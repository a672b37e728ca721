/* SPDX-License-Identifier: MIT */
/*
 * Reaching guest memory from handlers: stays restricted. With guest-map=all through the local window,
 * where all of it is, with guest-map=none a page at a time through the VM's access window (asi/window.h).
 * Nothing else touches guest RAM. A guest may change any byte at any time: read once, then check.
 */
#pragma once
#include <stddef.h>
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/*
 * Where a PC has video memory and ROMs: no RAM that a guest is told of, and none at all unless vm->hole_is_ram. Then
 * consoles and searches of ROMs, which find zeros, cost nothing.
 */
#define GUEST_HOLE_START 0xa0000UL
#define GUEST_HOLE_END	 0x100000UL

/* Whether every byte of the range is RAM. */
bool guestmem_is_ram(const struct vm *vm, gpa_t gpa, uint64_t len);

/*
 * Copy by guest-physical address; -EFAULT if any byte is no RAM (what came before is done). Two bytes at an even
 * address are one access, so that other vCPUs see, and write, both or neither.
 */
__must_check int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len);
/* An entry of a page table, 8 or 4 bytes, aligned: the quick way. */
__must_check int guestmem_read_entry(const struct vm *vm, gpa_t gpa, bool wide, uint64_t *entry);
__must_check int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len);

/*
 * Translates by the guest's own paging (every mode, SDM "Paging"); access rights as
 * for @access (PF_WRITE, PF_FETCH; PF_USER by CPL). 0, or -EFAULT and in *@error the #PF error code.
 * Sets no accessed or dirty bits.
 */
__must_check int guestmem_translate(struct vcpu *v, gva_t gva, uint32_t access, gpa_t *gpa,
				    uint32_t *error);
