/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of a guest with platform=apic: RSDP, RSDT and XSDT, FADT, FACS, MADT, DSDT. ACPI specification, "ACPI
 * Software Programming Model". Where a BIOS has them, and where systems look for them: in the hole below 1 MiB, which guests are told is reserved.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"

struct vm;

#define ACPI_TABLES	 0xe0000UL /* guest-physical: the RSDP, and all else behind it */
#define ACPI_TABLES_SIZE 0x1000UL  /* room for VCPUS_MAX */
#define ACPI_PCI_BASE \
	0xf0000000UL /* PCI devices may be given memory from here on: RAM ends below */

#define ACPI_IOAPIC_ID 8 /* behind those of local APICs */
#define ACPI_TIMER_PIN 2 /* of the I/O APIC: where the timer is, IRQ 0 elsewhere */
#define ACPI_SCI_IRQ   9

/* Fills @buf, ACPI_TABLES_SIZE bytes, zeroed, with the tables for @nr_cpus vCPUs. */
void acpi_build(void *buf, uint32_t nr_cpus);

/* Puts them into the RAM of @vm, which is there and zeroed. 0 or -errno. Unrestricted. */
__must_check int acpi_place(struct vm *vm);
