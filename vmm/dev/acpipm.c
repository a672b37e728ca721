/* SPDX-License-Identifier: MIT */
/* PM1 and the PM timer: registers as one block of bytes, which systems read in pieces of every width. */
#include "vmm/dev/acpipm.h"
#include "lib/bitops.h"
#include "lib/compiler.h"

#define TIMER_BITS 24
#define STATUS_TMR 0x0001

#define ENABLE_WRITTEN	0x0721 /* timer, global lock, power and sleep button, clock */
#define CONTROL_SCI	0x0001 /* SCI_EN: in ACPI mode */
#define CONTROL_WRITTEN 0x1c02 /* BM_RLD and SLP_TYP; GBL_RLS and SLP_EN read 0 */
#define CONTROL_SLEEP	0x2000
#define SLEEP_TYPE(c)	((c) >> 10 & 7)

enum { REG_STATUS = 0, REG_ENABLE = 2, REG_CONTROL = 4, REG_TIMER = 8 };

/* "Power Management Timer": TMR_STS is set whenever the highest bit changes. */
static uint64_t halves(uint64_t clock)
{
	return clock >> (TIMER_BITS - 1);
}

/* The word with register @reg in it; those between control and timer are nobody's. */
static uint32_t block_at(const struct acpipm *pm, unsigned int reg, uint64_t clock)
{
	switch (reg & ~3U) {
	case REG_STATUS:
		return (halves(clock) != pm->seen ? STATUS_TMR : 0) | (uint32_t)pm->enable << 16;
	case REG_CONTROL:
		return pm->control | CONTROL_SCI | 0xffff0000;
	case REG_TIMER:
		return (uint32_t)(clock & BITS(TIMER_BITS - 1, 0));
	default:
		return UINT32_MAX;
	}
}

uint32_t acpipm_read(const struct acpipm *pm, unsigned int reg, unsigned int size, uint64_t clock)
{
	uint64_t both = block_at(pm, reg, clock) | (uint64_t)block_at(pm, reg + 4, clock) << 32;

	return (uint32_t)(both >> 8 * (reg & 3) & BITS(8 * size - 1, 0));
}

/* One byte. What is not listed cannot be written. */
static bool write_byte(struct acpipm *pm, unsigned int reg, uint8_t value, uint64_t clock)
{
	unsigned int shift = 8 * (reg & 1);
	uint16_t mask = (uint16_t)(0xff << shift), bits = (uint16_t)(value << shift);

	switch (reg & ~1U) {
	case REG_STATUS:
		if (bits & STATUS_TMR)
			pm->seen = halves(clock);
		return true;
	case REG_ENABLE:
		pm->enable = (pm->enable & ~mask) | (bits & ENABLE_WRITTEN);
		return true;
	case REG_CONTROL:
		pm->control = (pm->control & ~mask) | (bits & CONTROL_WRITTEN);
		return !(bits & CONTROL_SLEEP) || SLEEP_TYPE(pm->control) != ACPI_SLEEP_OFF;
	default:
		return true;
	}
}

bool acpipm_write(struct acpipm *pm, unsigned int reg, unsigned int size, uint32_t value,
		  uint64_t clock)
{
	for (unsigned int i = 0; i < size; i++)
		if (!write_byte(pm, reg + i, (uint8_t)(value >> 8 * i), clock))
			return false;
	return true;
}
