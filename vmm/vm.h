/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: its memory, its domain, its vCPUs, and how it ended. LOCAL memory of
 * its own; the table of VMs (vmm/vm.c) is sensitive.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "asi/window.h"
#include "mm/ptable.h"
#include "arch/layout.h"
#include "arch/spinlock.h"
#include "vmm/com1.h"
#include "vmm/platform.h"
#include "vmm/post.h"
#include "vmm/typed.h"
#include "vmm/vmoptions.h"

enum verdict {
	VERDICT_NONE,
	VERDICT_PASS,
	VERDICT_FAIL,
	VERDICT_STOPPED,
	VERDICT_ENDED, /* by a privileged guest, vmm/control.h: neither passed nor failed */
};

struct vcpu;

/* In vm->awake: how many are, and how often one has begun to be. */
#define AWAKE_ONE  1UL
#define AWAKE_MASK 0xffffffffUL
#define AWAKE_CAME (AWAKE_MASK + 1)

struct vm {
	struct vm_options options; /* name, memory, limit */
	struct mem_owner *owner;   /* GLOBAL */
	struct asi *asi;
	struct vcpu *vcpus[VCPUS_MAX];
	uint32_t nr_vcpus; /* that have been made */
	struct vcpu_post post[VCPUS_MAX];
	uint64_t awake;	       /* vCPUs that run, or will by themselves: AWAKE_*; atomic */
	uint32_t nr_in_queues; /* vCPUs that the scheduler has; atomic */
	bool has_ended;	       /* all of them are gone, and it has been reported */

	struct spinlock lock; /* devices: vCPUs come to them one at a time */

	struct ptable ept;
	uint64_t eptp;
	uint64_t ept_gen;	     /* new with each unmapping; the world stands still meanwhile */
	uint64_t ept_seen[CPUS_MAX]; /* of it, when the CPU last flushed */
	hpa_t apic_page;	     /* the APIC-access page (apicv.h); 0: none */
	bool apic_page_plain
		[CPUS_MAX]; /* a vCPU that finds memory there has run on the CPU since it last flushed */
	uint64_t ram_bytes;
	hpa_t *ram; /* frame of each 2 MiB of guest-physical space, HPA_NONE where it has no RAM (now) */
	struct window window; /* how handlers reach RAM with guest-map=none */
	uint64_t nr_ram;
	uint64_t limit; /* ticks in the guest that limit_ms= allows; 0: no limit */

	struct com1 com1;
	struct platform platform;
	struct typed typed;
	bool hole_is_ram; /* between 640 KiB and 1 MiB too; guests are told that it is reserved */
	uint64_t
		unserved; /* accesses to MMIO and ports that nothing serves; the first are reported */

	enum verdict verdict; /* other than none: all vCPUs stop */
	const char *reason;   /* a word from docs/serial.md; NULL for pass and fail */
	uint32_t code;	      /* what the guest wrote to PORT_EXIT */
	bool stopping;	      /* somebody is writing these three, @verdict last; atomic */
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
 * image and readies the first vCPU; the others wait for it to start them. On error says why in one line and returns -errno; nothing is left.
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
 * handlers: it only marks, and makes the CPUs of all its vCPUs look; the report comes later. The first call wins.
 */
void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code);
/* All VMs that there are. Unrestricted. */
void vm_stop_all(const char *reason);

#define VMS_MAX 64
