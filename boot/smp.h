/* SPDX-License-Identifier: MIT */
/*
 * The other processors. Each one that the MADT lists is started, initialised as the boot processor is, compared with it,
 * and parked: guests run on the boot processor alone (decision 0014). One that does not come up, or is different,
 * costs a line of log.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "drivers/acpi.h"
#include "mm/addr.h"

/* Backs the per-CPU areas, as far as memory goes: before the buddy has it all. */
void smp_prepare(const struct acpi_info *acpi);

/*
 * Starts them, one after the other; prints a @cpu record for each CPU in use. @trampoline: a page of RAM below
 * 1 MiB that nobody uses, HPA_NONE if there is none. @vmx: VMX is on, and is to be on there too. Once, at
 * boot, behind everything that is initialised for all CPUs, before init memory is freed.
 */
void smp_start(const struct acpi_info *acpi, hpa_t trampoline, bool vmx);
