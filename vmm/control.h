/* SPDX-License-Identifier: MIT */
/*
 * VMs that a privileged guest (control=on) ends, destroys and makes again, by hypercall (vmm/abi.h). Its handler only
 * notes the request and ends the turn: making a VM needs the base stack, which is sensitive, since images
 * pass through it. The scheduler answers before the guest's next turn.
 */
#pragma once
#include <stdint.h>

struct control_request {
	uint32_t number; /* HC_VM_*; 0: none */
	uint64_t vm;	 /* number of the boot module's VM, from 0 */
};

/*
 * REQUIRED of boot/guests.c: the answer, for RAX; -EAGAIN if another CPU is at it: to be asked again. Base stack,
 * unrestricted, no lock held.
 */
int64_t control_vm(const struct control_request *r);
