/* SPDX-License-Identifier: MIT */
/* From boot modules to VMs, and from their verdicts to the machine's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "boot/bootinfo.h"
#include "vmm/vmoptions.h"
#include "boot/options.h"

struct vm;

/*
 * Makes a VM of each module (a module "initrd-of=NAME" goes to the guest before it). One that
 * cannot be made is one clear line and a failed guest; the others go on. With @vmx_missing that
 * is every one; without any module there, the machine's verdict is the self-test's. @asi: for those that
 * do not say. Unrestricted.
 */
void guests_create(const struct boot_info *info, const char *vmx_missing, enum vm_asi asi);

/*
 * Runs all of them, audits, searches and reports as @o says, ends with the @end record. The exit
 * code for exitdev_stop().
 */
uint8_t guests_run(bool selftest_passed, const struct options *o);

/*
 * ---- For the monitor (boot/monitor.h), on the base stack, unrestricted, no lock held ----
 *
 * Keeps VMs from being made and destroyed by others until guests_release(); false if somebody is at it now.
 */
bool guests_hold(void);
void guests_release(void);
/*
 * What follows is for whoever holds them. Guests have the numbers from 0 to guests_nr() - 1, in the order of their modules;
 * the VM is NULL while there is none.
 */
unsigned int guests_nr(void);
struct vm *guests_vm(unsigned int nr);
const struct vm_options *guests_options(unsigned int nr);
/* Makes the VM anew, destroyed before if it has ended, and lets it run. 0; HC_EBUSY: it runs; another error: there is none now. */
int guests_start(unsigned int nr);
/* As at the end of a run: @mem; @asi, @stun, @sched; @trace of CPUs and VMs; @surface of the machine. */
void guests_report_memory(void);
void guests_report_cpus(void);
void guests_report_traces(void);
void guests_report_surfaces(void);
