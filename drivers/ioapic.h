/* SPDX-License-Identifier: MIT */
/* The I/O APIC, as far as one device needs it that interrupts: the console's port. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "drivers/acpi.h"

/*
 * From here on ISA interrupt @irq comes as @vector to the CPU with local APIC @apic_id, at edges. False if the MADT names
 * no I/O APIC that has it, there is no memory for its mapping, or the id is too long for it.
 */
bool ioapic_route(const struct acpi_info *acpi, unsigned int irq, uint8_t vector, uint32_t apic_id);
