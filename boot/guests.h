/* SPDX-License-Identifier: MIT */
/* From boot modules to VMs, and from their verdicts to the machine's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "boot/bootinfo.h"
#include "vmm/vmoptions.h"
#include "boot/options.h"

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
