/* SPDX-License-Identifier: MIT */
/*
 * The few ACPI tables we read: RSDP, RSDT or XSDT, MADT, FADT, SPCR. Firmware's tables
 * are checked (signature, length, checksum) before a byte of them is believed.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/layout.h"

#define ACPI_IOAPICS_MAX 8
#define ACPI_ISA_IRQS	 16

struct acpi_info {
	uint32_t nr_cpus; /* enabled ones in the MADT; 1 if there is no MADT */
	uint32_t apic_id[CPUS_MAX];
	uint64_t lapic_hpa; /* 0 without a MADT */
	uint32_t nr_ioapics;
	struct acpi_ioapic {
		uint64_t hpa;
		uint32_t first_gsi; /* global system interrupt of its first input */
	} ioapics[ACPI_IOAPICS_MAX];
	struct acpi_isa_irq {
		uint32_t gsi;	 /* the same number, unless the MADT says otherwise */
		bool active_low; /* high is usual */
	} isa_irqs[ACPI_ISA_IRQS];
	uint16_t spcr_port;	/* of the firmware's serial console; 0 if it names none */
	uint16_t pm_timer_port; /* 0 if there is none */
};

/*
 * Reads the tables found from the RSDP, a copy of which (@len bytes) the boot
 * loader handed over (NULL: none). Missing or broken tables are logged in one line
 * and leave the defaults above. Where the tables tell how to turn the power off,
 * exitdev_set_poweroff() (drivers/exitdev.h) learns it.
 */
void acpi_init(const void *rsdp, uint64_t len, struct acpi_info *out);
