/* SPDX-License-Identifier: MIT */
/* A guest's options: the command line of its boot module. Pure functions. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_NAME_MAX 32 /* with the closing NUL */
#define VCPUS_MAX   8

#define APIC_MEM_MIB_MAX \
	3840U /* of mem= with a local APIC: RAM ends below what lies behind it (vmm/acpi.h) */

enum vm_domain {
	VM_DOMAIN_VM,	/* one ASI domain for the whole VM */
	VM_DOMAIN_VCPU, /* one for each vCPU */
};

enum vm_asi {
	VM_ASI_DEFAULT, /* not said: the hypervisor's "asi=" decides */
	VM_ASI_OFF,
	VM_ASI_ON,
	VM_ASI_STRICT, /* the guest is stopped by an unexpected crossing */
};

enum guest_map {
	GUEST_MAP_ALL,	/* its RAM is LOCAL, in its own restricted space */
	GUEST_MAP_NONE, /* its RAM is SENSITIVE, in no restricted space: reached through a window */
};

enum vm_apicv {
	VM_APICV_OFF,
	VM_APICV_AUTO, /* where the CPU can, and can be trusted with it (apicv.h) */
	VM_APICV_ON,   /* where the CPU can */
};

enum vm_platform {
	VM_PLATFORM_DEFAULT, /* not said: by the kind of image (loader.h) */
	VM_PLATFORM_NONE,    /* COM1 and PORT_EXIT */
	VM_PLATFORM_PIC,     /* a PC with 8259s and an 8254 (platform.h) */
	VM_PLATFORM_APIC,    /* with I/O APIC and ACPI besides */
};

enum vm_input {
	VM_INPUT_NONE, /* nobody types: not an option's value */
	VM_INPUT_COM1,
	VM_INPUT_VIRTIO, /* the virtio console */
};

struct vm_options {
	char name[VM_NAME_MAX];	  /* name=, of A-Z a-z 0-9 . _ -; "" if not given */
	uint64_t mem_mib;	  /* mem=; 0 if not given: by the kind of image */
	uint32_t cpus;		  /* cpus=, 1 to VCPUS_MAX, default 1 */
	enum vm_asi asi;	  /* asi=on|off|strict */
	enum vm_domain domain;	  /* domain=vm|vcpu, default vm */
	uint64_t limit_ms;	  /* limit=, 0 or not given: none */
	const char *args;	  /* the guest's own, behind "--"; "" if there are none */
	enum guest_map guest_map; /* guest-map=all|none, default all */
	bool apic;		  /* apic=on|off, default on with several vCPUs or platform=apic */
	bool apic_given;
	enum vm_apicv apicv; /* apicv=off|auto|on, default off */
	bool control;	     /* control=on|off, default off: may end and make VMs (vmm/control.h) */
	enum vm_platform platform; /* platform=none|pic|apic */
	enum vm_input input;	   /* input=com1|virtio, default com1 */
	const void *
		disk; /* the boot module behind it that is its disk, not of the command line; NULL: none */
	uint64_t disk_len;
};

/*
 * Reads @cmdline, which must outlive @out. 0, or -EINVAL with one line in @why that
 * says which word is wrong and what would be right. Of a word given twice the last one
 * counts.
 */
int vm_options_parse(const char *cmdline, struct vm_options *out, char *why, size_t why_size);
