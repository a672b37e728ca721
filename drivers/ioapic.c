/* SPDX-License-Identifier: MIT */
/*
 * 82093AA data sheet: "Register description". Two registers are mapped: one chooses which of the others the second one is.
 * All other inputs stay as the firmware has left them, and nobody enables more.
 */
#include "drivers/ioapic.h"
#include <stddef.h>
#include "lib/bitops.h"
#include "mm/hostmap.h"

#define SELECT 0x00
#define WINDOW 0x10

#define REG_VERSION	0x01
#define REG_REDIRECT(n) (0x10 + 2 * (n)) /* low half; the high one is the next */

#define REDIRECT_LOW	(1u << 13) /* active low */
#define REDIRECT_MASKED (1u << 16)
#define ID_SHIFT	24 /* of the high half */

static uint32_t read(volatile uint32_t *registers, uint32_t reg)
{
	registers[SELECT / 4] = reg;
	return registers[WINDOW / 4];
}

static void write(volatile uint32_t *registers, uint32_t reg, uint32_t value)
{
	registers[SELECT / 4] = reg;
	registers[WINDOW / 4] = value;
}

/* The last one that begins at @gsi or before it: the only one that can have it. */
static const struct acpi_ioapic *find(const struct acpi_info *acpi, uint32_t gsi)
{
	const struct acpi_ioapic *found = NULL;

	for (uint32_t i = 0; i < acpi->nr_ioapics; i++) {
		const struct acpi_ioapic *io = &acpi->ioapics[i];

		if (io->first_gsi <= gsi && (!found || io->first_gsi > found->first_gsi))
			found = io;
	}
	return found;
}

bool ioapic_route(const struct acpi_info *acpi, unsigned int irq, uint8_t vector, uint32_t apic_id)
{
	const struct acpi_isa_irq *isa = &acpi->isa_irqs[irq];
	const struct acpi_ioapic *io = find(acpi, isa->gsi);
	volatile uint32_t *registers;
	uint32_t input;

	/* 0xff would be a broadcast. The registers lie within a page, but need not begin it. */
	if (!io || apic_id >= 0xff || io->hpa % PAGE_SIZE > PAGE_SIZE - 0x20)
		return false;
	registers = hostmap_device(HPA(ALIGN_DOWN(io->hpa, PAGE_SIZE)));
	if (!registers)
		return false;
	registers += io->hpa % PAGE_SIZE / sizeof(*registers);
	input = isa->gsi - io->first_gsi;
	if (input > (read(registers, REG_VERSION) >> 16 & 0xff))
		return false;
	write(registers, REG_REDIRECT(input), REDIRECT_MASKED);
	write(registers, REG_REDIRECT(input) + 1, apic_id << ID_SHIFT);
	write(registers, REG_REDIRECT(input), vector | (isa->active_low ? REDIRECT_LOW : 0));
	return true;
}
