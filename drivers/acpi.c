/* SPDX-License-Identifier: MIT */
/*
 * ACPI specification: "Root System Description Pointer (RSDP)", "System Description
 * Table Header", "Multiple APIC Description Table (MADT)", "Fixed ACPI Description Table
 * (FADT)". Offsets below are theirs. Nothing is aligned, and no length is believed
 * before it is compared with what contains it.
 */
#include <stddef.h>
#include "drivers/acpi.h"
#include "drivers/exitdev.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/hostmap.h"

#define TABLE_HEADER 36
#define TABLE_MAX    MiB(1) /* real ones have a tenth of that */

#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36

/* A table, or a piece of one, of @len bytes that can be read. */
struct table {
	const uint8_t *data;
	uint32_t len;
};

/* Little-endian number of @bytes bytes at @at; 0 where the table is too short. */
static uint64_t get(struct table t, uint32_t at, uint32_t bytes)
{
	uint64_t v = 0;

	if (at > t.len || t.len - at < bytes)
		return 0;
	memcpy(&v, t.data + at, bytes);
	return v;
}

/* "All bytes of the table must sum to zero." */
static bool sum_is_zero(const uint8_t *data, uint32_t len)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return sum == 0;
}

static bool has_signature(struct table t, const char *signature)
{
	return memcmp(t.data, signature, 4) == 0;
}

/* The header of the table at @hpa, which no checksum covers yet. */
static bool map_header(uint64_t hpa, struct table *out)
{
	if (hpa == 0 || hpa > UINT64_MAX - TABLE_MAX)
		return false;
	out->data = hostmap_firmware(HPA(hpa), TABLE_HEADER);
	out->len = TABLE_HEADER;
	return out->data != NULL;
}

/* The whole table at @hpa, if it is one of this kind and in order; else one line of log. */
static bool map_table(uint64_t hpa, const char *signature, struct table *out)
{
	struct table header;

	if (!map_header(hpa, &header) || !has_signature(header, signature)) {
		log_error("ACPI: no %s table at 0x%lx", signature, hpa);
		return false;
	}
	out->len = (uint32_t)get(header, 4, 4);
	if (out->len < TABLE_HEADER || out->len > TABLE_MAX) {
		log_error("ACPI: %s table of %u bytes ignored", signature, out->len);
		return false;
	}
	out->data = hostmap_firmware(HPA(hpa), out->len);
	if (!out->data || !sum_is_zero(out->data, out->len)) {
		log_error("ACPI: %s table with a wrong checksum ignored", signature);
		return false;
	}
	return true;
}

/* The same APIC may be listed as local APIC and as local x2APIC. */
static void add_cpu(struct acpi_info *out, uint32_t *found, uint32_t apic_id)
{
	for (uint32_t i = 0; i < MIN(*found, CPUS_MAX); i++) {
		if (out->apic_id[i] == apic_id)
			return;
	}
	if (*found < CPUS_MAX)
		out->apic_id[*found] = apic_id;
	++*found;
}

/*
 * Flag 0 is "enabled". "Online capable" without it is a socket or slot that may be filled
 * later: no CPU is there to be started.
 */
#define CPU_ENABLED 1

static void add_ioapic(struct acpi_info *out, uint64_t hpa, uint64_t first_gsi)
{
	if (out->nr_ioapics < ACPI_IOAPICS_MAX)
		out->ioapics[out->nr_ioapics++] = (struct acpi_ioapic){ hpa, (uint32_t)first_gsi };
}

/* Of the flags bits 1:0 are the polarity: 3 is active low; 0, as the bus has it, is high. Bus 0 is ISA. */
static void override_isa(struct acpi_info *out, uint64_t bus, uint64_t irq, uint64_t gsi,
			 uint64_t flags)
{
	if (bus == 0 && irq < ACPI_ISA_IRQS)
		out->isa_irqs[irq] = (struct acpi_isa_irq){ (uint32_t)gsi, (flags & 3) == 3 };
}

static void read_madt_entry(struct table e, struct acpi_info *out, uint32_t *found)
{
	switch (get(e, 0, 1)) {
	case 0: /* processor local APIC; 0xff would be a broadcast */
		if (e.len >= 8 && (get(e, 4, 4) & CPU_ENABLED) && get(e, 3, 1) != 0xff)
			add_cpu(out, found, (uint32_t)get(e, 3, 1));
		break;
	case 1: /* I/O APIC */
		if (e.len >= 12)
			add_ioapic(out, get(e, 4, 4), get(e, 8, 4));
		break;
	case 2: /* interrupt source override */
		if (e.len >= 10)
			override_isa(out, get(e, 2, 1), get(e, 3, 1), get(e, 4, 4), get(e, 8, 2));
		break;
	case 5: /* local APIC address override */
		if (e.len >= 12)
			out->lapic_hpa = get(e, 4, 8);
		break;
	case 9: /* processor local x2APIC */
		if (e.len >= 16 && (get(e, 8, 4) & CPU_ENABLED) && get(e, 4, 4) != UINT32_MAX)
			add_cpu(out, found, (uint32_t)get(e, 4, 4));
		break;
	}
}

static void read_madt(struct table madt, struct acpi_info *out)
{
	uint32_t found = 0, at = 44;

	out->lapic_hpa = get(madt, 36, 4);
	while (at < madt.len && madt.len - at >= 2) {
		struct table entry = { madt.data + at, madt.data[at + 1] };

		if (entry.len < 2 || entry.len > madt.len - at) {
			log_error("ACPI: MADT entry of %u bytes, the rest is ignored", entry.len);
			break;
		}
		read_madt_entry(entry, out, &found);
		at += entry.len;
	}
	if (found > CPUS_MAX)
		log_error("ACPI: %u CPUs, only %u can be used", found, (unsigned int)CPUS_MAX);
	if (found)
		out->nr_cpus = MIN(found, CPUS_MAX);
}

/*
 * The I/O port of a register that the FADT gives twice: as a number at @at, and in later
 * versions as a generic address structure at @gas, which counts if it is not 0.
 */
static uint16_t fadt_port(struct table fadt, uint32_t at, uint32_t gas)
{
	uint64_t port = get(fadt, at, 4);

	/* Address space 1 is I/O; a register in memory is not for us. */
	if (get(fadt, gas + 4, 8))
		port = get(fadt, gas, 1) == 1 ? get(fadt, gas + 4, 8) : 0;
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/*
 * SLP_TYPa for soft off, from the DSDT's "Name (_S5_, Package () { a, b, ... })". This is
 * a search for its bytes, as osdev.org has it under "Shutdown", and no AML interpreter: it
 * finds what every firmware's compiler emits. Returns false if that is not there.
 */
static bool find_s5(struct table dsdt, uint8_t *type)
{
	for (uint32_t at = TABLE_HEADER + 1; at < dsdt.len && dsdt.len - at >= 12; at++) {
		const uint8_t *p = dsdt.data + at;
		uint64_t v;

		/* NameOp (perhaps with the root's backslash), "_S5_", PackageOp */
		if (memcmp(p, "_S5_\x12", 5) != 0 || (p[-1] != 0x08 && p[-1] != '\\'))
			continue;
		/* Bits 7:6 of PkgLength's first byte count its further ones; then NumElements. */
		at += 5U + 1 + (p[5] >> 6) + 1;
		/* BytePrefix and a byte, or ZeroOp or OneOp, which are their own values */
		v = get(dsdt, at, 1) == 0x0a ? get(dsdt, at + 1, 1) : get(dsdt, at, 1);
		*type = (uint8_t)v;
		return v <= 7;
	}
	return false;
}

/* "Sleeping/Wake Control": SLP_EN is bit 13 of PM1a_CNT, SLP_TYP are bits 12:10. */
static void read_poweroff(struct table fadt)
{
	uint16_t port = fadt_port(fadt, 64, 172);
	uint64_t hpa = get(fadt, 140, 8) ? get(fadt, 140, 8) : get(fadt, 40, 4);
	struct table dsdt;
	uint8_t type;

	if (port && map_table(hpa, "DSDT", &dsdt) && find_s5(dsdt, &type))
		exitdev_set_poweroff(port, (uint16_t)(BIT(13) | (uint64_t)type << 10));
}

static void read_fadt(struct table fadt, struct acpi_info *out)
{
	/* PM_TMR_LEN is 4 where there is a timer, else 0. */
	if (get(fadt, 91, 1) == 4)
		out->pm_timer_port = fadt_port(fadt, 76, 208);
	read_poweroff(fadt);
}

/*
 * "Serial Port Console Redirection Table" (Microsoft): where the firmware has its serial
 * console. Interface types 0 and 1 are 16550s; a port, not registers in memory.
 */
static void read_spcr(struct table spcr, struct acpi_info *out)
{
	uint64_t port = get(spcr, 44, 8);

	if (get(spcr, 36, 1) <= 1 && get(spcr, 40, 1) == 1 && port <= UINT16_MAX)
		out->spcr_port = (uint16_t)port;
}

/* Reads the MADT, FADT and SPCR, the first of each, of an RSDT (@size 4) or an XSDT (8). */
static void read_root(struct table root, uint32_t size, struct acpi_info *out)
{
	bool has_madt = false, has_fadt = false, has_spcr = false;
	struct table t;

	for (uint32_t at = TABLE_HEADER; root.len - at >= size; at += size) {
		uint64_t hpa = get(root, at, size);

		if (!map_header(hpa, &t))
			continue;
		if (!has_madt && has_signature(t, "APIC")) {
			has_madt = map_table(hpa, "APIC", &t);
			if (has_madt)
				read_madt(t, out);
		} else if (!has_fadt && has_signature(t, "FACP")) {
			has_fadt = map_table(hpa, "FACP", &t);
			if (has_fadt)
				read_fadt(t, out);
		} else if (!has_spcr && has_signature(t, "SPCR")) {
			has_spcr = map_table(hpa, "SPCR", &t);
			if (has_spcr)
				read_spcr(t, out);
		}
	}
	if (!has_madt)
		log_error("ACPI: no MADT, so one CPU");
}

void acpi_init(const void *rsdp, uint64_t len, struct acpi_info *out)
{
	struct table p = { rsdp, (uint32_t)MIN(len, RSDP_V2_SIZE) }, root;

	*out = (struct acpi_info){ .nr_cpus = 1 };
	for (uint32_t irq = 0; irq < ACPI_ISA_IRQS; irq++)
		out->isa_irqs[irq].gsi = irq;
	if (!rsdp || p.len < RSDP_V1_SIZE || memcmp(rsdp, "RSD PTR ", 8) != 0 ||
	    !sum_is_zero(rsdp, RSDP_V1_SIZE)) {
		log_error("ACPI: no RSDP, so one CPU");
		return;
	}
	/* From revision 2 on there is a second half with a checksum of its own. */
	if (get(p, 15, 1) >= 2 && p.len == RSDP_V2_SIZE && sum_is_zero(rsdp, RSDP_V2_SIZE) &&
	    get(p, 24, 8) && map_table(get(p, 24, 8), "XSDT", &root))
		read_root(root, 8, out);
	else if (map_table(get(p, 16, 4), "RSDT", &root))
		read_root(root, 4, out);
}
