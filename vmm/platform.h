/* SPDX-License-Identifier: MIT */
/*
 * The PC around a guest's CPUs (platform=pic|apic): its devices, the wires between them, and the time that they live in.
 * Part of struct vm, so LOCAL; every function is restricted. vm->lock guards it: ports.c holds it around accesses, and so
 * does whoever else calls, but for functions that take a vCPU, which is running and takes the lock itself.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"
#include "vmm/dev/acpipm.h"
#include "vmm/dev/crtc.h"
#include "vmm/dev/fwcfg.h"
#include "vmm/dev/ioapic.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/pic.h"
#include "vmm/dev/pit.h"
#include "vmm/dev/rtc.h"
#include "vmm/dev/virtio_blk.h"
#include "vmm/dev/virtio_console.h"

struct vm;
struct vcpu;

#define BOOT_VCPU \
	0 /* number of the first one: the PIC is wired to it, and what is typed wakes it */

enum platform_irq { IRQ_TIMER = 0, IRQ_COM1 = 4, IRQ_CONSOLE = 10, IRQ_DISK = 11 };

struct platform {
	bool present; /* else there is nothing but COM1 and PORT_EXIT */
	bool apic;    /* I/O APIC and ACPI are there as well (platform=apic) */
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct pci pci;
	struct crtc crtc;
	struct fwcfg fwcfg;
	struct virtio_console console;
	struct virtio_blk disk;
	struct ioapic ioapic;
	struct acpipm pm;
	uint8_t port92; /* A20 and reset, as written */
	uint64_t start; /* TSC when the VM was made */
	uint64_t
		edge; /* TSC of the timer's next edge, which has not reached the PIC; 0: none comes */
	uint64_t deadline; /* TSC at which one may matter to the vCPU; 0: none does */
};

/* platform_create.c: the devices that vm->options ask for. The VM's RAM is there. 0 or -ENOMEM: then destroy. Unrestricted. */
__must_check int platform_create(struct vm *vm);
void platform_destroy(struct vm *vm);

/* Turns it on, as firmware leaves it, but for the command line and the disk. The VM's RAM is there. */
void platform_start(struct vm *vm);

/* Then the disk, of @sectors at @data, which stays the caller's. */
void platform_plug_disk(struct vm *vm, char *data, uint64_t sectors);

/* A device sets its line of PIC and I/O APIC; the vCPU that is interrupted will look. */
void platform_set_irq(struct vm *vm, enum platform_irq irq, bool high);

/* Whether the PIC interrupts @v, as far as the PIC is concerned; @v takes it, and gets its vector. */
bool platform_interrupts(const struct vcpu *v);
uint8_t platform_ack(struct vcpu *v);

/* TSC at which a timer of the platform's has something for @v, 0: never; and what it has up to @now. */
uint64_t platform_deadline(const struct vcpu *v);
void platform_expire(struct vcpu *v, uint64_t now);

/* @v halts with nothing to wake it now: its deadline has to be one that will. */
void platform_halted(struct vcpu *v);

/* The page of the I/O APIC, and accesses to it; a local APIC has ended a level-triggered interrupt. They take the lock. */
bool platform_has_page(const struct vm *vm, uint64_t gpa);
uint32_t platform_mmio_read(struct vm *vm, uint64_t gpa, unsigned int size);
void platform_mmio_write(struct vm *vm, uint64_t gpa, unsigned int size, uint32_t value);
void platform_eoi(struct vm *vm, uint8_t vector);

/* PIC and PIT by register, for ports.c: what they mean for each other and for the vCPU is done as well. */
uint8_t platform_read_pic(struct vm *vm, unsigned int chip, bool odd);
void platform_write_pic(struct vm *vm, unsigned int chip, bool odd, uint8_t value);
void platform_write_elcr(struct vm *vm, unsigned int chip, uint8_t value);
uint8_t platform_read_pit(struct vm *vm, unsigned int reg);
void platform_write_pit(struct vm *vm, unsigned int reg, uint8_t value);
uint8_t platform_read_speaker(struct vm *vm);
void platform_write_speaker(struct vm *vm, uint8_t value);
uint8_t platform_read_rtc(struct vm *vm);
uint32_t platform_read_pm(struct vm *vm, unsigned int reg, unsigned int size);
/* False: the guest has turned its power off. */
bool platform_write_pm(struct vm *vm, unsigned int reg, unsigned int size, uint32_t value);
