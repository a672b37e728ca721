/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware: PM1a event and control registers, and the PM timer of 24 bits. ACPI specification, "ACPI Hardware
 * Specification", "Fixed Hardware Features". Nothing ticks: whoever calls says how many clocks of ACPI_PM_HZ have passed.
 * LOCAL memory of a VM; calls do not overlap.
 *
 * Always in ACPI mode. Of events there is the timer's status bit only; none interrupts. Of sleeping states there is
 * soft off.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ACPI_PM_HZ 3579545

/* Ports of the register blocks, as the FADT gives them. */
#define ACPI_PM_BASE	 0x600
#define ACPI_PM1_EVENT	 0x600
#define ACPI_PM1_CONTROL 0x604
#define ACPI_PM_TIMER	 0x608
#define ACPI_PM_NR	 12

#define ACPI_SLEEP_OFF 5 /* SLP_TYP of \_S5 */

struct acpipm {
	uint64_t
		seen; /* halves of the timer's period that had passed when its status was last cleared */
	uint16_t enable, control;
};

/* @reg: a port - ACPI_PM_BASE. */
uint32_t acpipm_read(const struct acpipm *pm, unsigned int reg, unsigned int size, uint64_t clock);
/* False: the guest has turned its power off. */
bool acpipm_write(struct acpipm *pm, unsigned int reg, unsigned int size, uint32_t value,
		  uint64_t clock);
