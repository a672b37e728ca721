/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: its memory, its domain, its vCPU, and how it ended. LOCAL memory of
 * its own; the table of VMs (vmm/vm.c) is sensitive.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "asi/window.h"
#include "mm/ptable.h"
#include "vmm/com1.h"
#include "vmm/platform.h"
#include "vmm/vmoptions.h"

enum verdict { VERDICT_NONE, VERDICT_PASS, VERDICT_FAIL, VERDICT_STOPPED };

struct vcpu;

struct vm {
	struct vm_options options; /* name, memory, limit */
	struct mem_owner *owner;   /* GLOBAL */
	struct asi *asi;
	struct vcpu *vcpu;

	struct ptable ept;
	uint64_t eptp;
	uint64_t ram_bytes;
	hpa_t *ram; /* frame of each 2 MiB of guest-physical space, HPA_NONE where it has no RAM (now) */
	struct window window; /* how handlers reach RAM with guest-map=none */
	uint64_t nr_ram;
	uint64_t limit; /* ticks in the guest that limit_ms= allows; 0: no limit */

	struct com1 com1;
	struct platform platform;
	bool hole_is_ram; /* between 640 KiB and 1 MiB too; guests are told that it is reserved */
	uint64_t
		unserved; /* accesses to MMIO and ports that nothing serves; the first are reported */

	enum verdict verdict;
	const char *reason; /* a word from docs/serial.md; NULL for pass and fail */
	uint32_t code;	    /* what the guest wrote to PORT_EXIT */
};

/*
 * VMX on, on this CPU, and what every VM needs. Once, at boot, after vmx_supported() and
 * tsc_init(), before the first vm_create(). On error says why in one line and returns -errno.
 */
__must_check int vm_init(void);
/*
 * VMX on, on another CPU that is as the first (arch/cpusame.h); @region is a page of its own, for as long as
 * VMX is on. 0 or -errno, and then VMX is off.
 */
__must_check int vm_init_cpu(void *region);

/*
 * Makes a VM of the boot module [@image, @image + @len) and its command line @words, places the
 * image and readies the vCPU. On error says why in one line and returns -errno; nothing is left.
 * @modules: further modules for the guest, @nr_modules of them.
 */
struct vm_module {
	const void *data;
	size_t len;
	const char *cmdline;
};
__must_check int vm_create(const struct vm_options *options, const void *image, size_t len,
			   const struct vm_module *modules, unsigned int nr_modules,
			   struct vm **out);
/* The VM whose owner has this number, NULL if there is none. Unrestricted: no VM may know of others. */
struct vm *vm_get(unsigned int owner_id);
/* Gives back every byte. */
void vm_destroy(struct vm *vm);

/*
 * Ends the VM with a verdict; @reason is a string constant, @code as above. Safe in restricted
 * handlers: it only marks, the report comes later. The first call wins.
 */
void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code);

/*
 * Runs all VMs, at most VMS_MAX, in turns on this CPU until each has stopped; reports each then. Every
 * @audit_ms (0: never) an audit begins, a step between two turns; if it finds anything, all VMs are
 * stopped. Returns what it found.
 */
#define VMS_MAX 64
uint64_t vm_run_all(struct vm **vms, unsigned int nr, uint64_t audit_ms); /* schedule.c */
