/* SPDX-License-Identifier: MIT */
/*
 * Tables as structures in the order in which they lie. Names of fields are the specification's; what is not named is
 * 0, which says that there is no such thing.
 */
#include "vmm/acpi.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/vmalloc.h"
#include "vmm/dev/acpipm.h"
#include "vmm/dev/ioapic.h"
#include "vmm/dsdt.h"
#include "vmm/guestmem.h"
#include "vmm/vm.h"

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __packed;

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __packed;

#define ROOT_TABLES 2 /* FADT and MADT; the FADT has the addresses of the others */

struct rsdt {
	struct header header;
	uint32_t entry[ROOT_TABLES];
} __packed;

struct xsdt {
	struct header header;
	uint64_t entry[ROOT_TABLES];
} __packed;

/* "Generic Address Structure": here always I/O ports. */
struct gas {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __packed;

#define GAS_IO 1

struct fadt {
	struct header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, preferred_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base,
		cst_cnt;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value, reserved2[3];
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
} __packed;
_Static_assert(sizeof(struct fadt) == 244, "revision 3");

#define FADT_REVISION	 3
#define BOOT_ARCH_LEGACY BIT(0) /* devices where a PC has them */
#define BOOT_ARCH_NO_VGA BIT(2)
#define FADT_WBINVD	 BIT(0)
#define FADT_C1		 BIT(2)
#define FADT_NO_BUTTONS	 (BIT(4) | BIT(5)) /* no power button, no sleep button in PM1 */
#define FADT_NO_RTC_WAKE BIT(6)
#define FADT_RESET	 BIT(10)
#define LATENCY_NONE	 0xffff /* beyond what is allowed: no C2, no C3 */
#define RESET_PORT	 0xcf9
#define RESET_VALUE	 6

struct facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __packed __aligned(64);
_Static_assert(sizeof(struct facs) == 64, "as specified");

struct madt_cpu {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __packed;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __packed;

struct madt_override {
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __packed;

struct madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __packed;

struct madt {
	struct header header;
	uint32_t lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_override timer, sci;
	struct madt_nmi nmi;
	struct madt_cpu cpu[VCPUS_MAX]; /* the last ones, since there may be fewer */
} __packed;

#define MADT_REVISION 3
#define MADT_PCAT     1 /* 8259s are there as well */
#define MADT_CPU      0
#define MADT_IOAPIC   1
#define MADT_OVERRIDE 2
#define MADT_NMI      4
#define CPU_ENABLED   1
#define ALL_CPUS      0xff
#define HIGH_LEVEL    0x0d /* active high, level-triggered; 0: as the bus has it */
#define NMI_LINT      1

struct dsdt {
	struct header header;
	uint8_t aml[sizeof(dsdt_aml)];
} __packed;

struct tables {
	struct rsdp rsdp __aligned(16);
	struct rsdt rsdt;
	struct xsdt xsdt;
	struct fadt fadt;
	struct madt madt;
	struct facs facs;
	struct dsdt dsdt;
};
_Static_assert(sizeof(struct tables) <= ACPI_TABLES_SIZE, "they have to fit");
_Static_assert(ACPI_IOAPIC_ID >= VCPUS_MAX, "no two APICs with one number");

#define AT(member) ((uint32_t)(ACPI_TABLES + offsetof(struct tables, member)))

/* What makes the sum of all bytes zero, where there is a zero now. */
static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

/* The last step for a table that is otherwise complete. */
static void seal(struct header *h, const char *signature, uint8_t revision, size_t length)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = (uint32_t)length;
	h->revision = revision;
	memcpy(h->oem_id, "VESTIB", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "VESTIBUL", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "VEST", sizeof(h->creator_id));
	h->creator_revision = 1;
	h->checksum = checksum(h, length);
}

static struct gas port(uint16_t address, uint8_t bytes)
{
	return (struct gas){ GAS_IO, (uint8_t)(8 * bytes), 0, 0, address };
}

static void build_rsdp(struct rsdp *r)
{
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, "VESTIB", sizeof(r->oem_id));
	r->revision = 2;
	r->rsdt = AT(rsdt);
	r->length = sizeof(*r);
	r->xsdt = AT(xsdt);
	r->checksum = checksum(r, offsetof(struct rsdp, length));
	r->extended_checksum = checksum(r, sizeof(*r));
}

static void build_roots(struct rsdt *r, struct xsdt *x)
{
	static const uint32_t entry[ROOT_TABLES] = { AT(fadt), AT(madt) };

	for (unsigned int i = 0; i < ROOT_TABLES; i++)
		x->entry[i] = r->entry[i] = entry[i];
	seal(&r->header, "RSDT", 1, sizeof(*r));
	seal(&x->header, "XSDT", 1, sizeof(*x));
}

static void build_fadt(struct fadt *f)
{
	f->facs = AT(facs);
	f->x_facs = f->facs;
	f->dsdt = AT(dsdt);
	f->x_dsdt = f->dsdt;
	f->sci_int = ACPI_SCI_IRQ;
	f->pm1a_evt = ACPI_PM1_EVENT;
	f->pm1_evt_len = 4;
	f->x_pm1a_evt = port(ACPI_PM1_EVENT, 4);
	f->pm1a_cnt = ACPI_PM1_CONTROL;
	f->pm1_cnt_len = 2;
	f->x_pm1a_cnt = port(ACPI_PM1_CONTROL, 2);
	f->pm_tmr = ACPI_PM_TIMER;
	f->pm_tmr_len = 4;
	f->x_pm_tmr = port(ACPI_PM_TIMER, 4);
	f->c2_latency = f->c3_latency = LATENCY_NONE;
	f->century = 0x32; /* as in vmm/dev/rtc.c */
	f->boot_arch = BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA;
	f->flags = FADT_WBINVD | FADT_C1 | FADT_NO_BUTTONS | FADT_NO_RTC_WAKE | FADT_RESET;
	f->reset_reg = port(RESET_PORT, 1);
	f->reset_value = RESET_VALUE;
	seal(&f->header, "FACP", FADT_REVISION, sizeof(*f));
}

static void build_madt(struct madt *m, uint32_t nr_cpus)
{
	m->lapic_address = LAPIC_PAGE;
	m->flags = MADT_PCAT;
	m->ioapic = (struct madt_ioapic){ MADT_IOAPIC, sizeof(m->ioapic), ACPI_IOAPIC_ID,
					  0,	       IOAPIC_PAGE,	  0 };
	m->timer =
		(struct madt_override){ MADT_OVERRIDE, sizeof(m->timer), 0, 0, ACPI_TIMER_PIN, 0 };
	m->sci = (struct madt_override){ MADT_OVERRIDE, sizeof(m->sci), 0,
					 ACPI_SCI_IRQ,	ACPI_SCI_IRQ,	HIGH_LEVEL };
	m->nmi = (struct madt_nmi){ MADT_NMI, sizeof(m->nmi), ALL_CPUS, 0, NMI_LINT };
	for (uint32_t i = 0; i < nr_cpus; i++)
		m->cpu[i] = (struct madt_cpu){ MADT_CPU, sizeof(m->cpu[i]), (uint8_t)i, (uint8_t)i,
					       CPU_ENABLED };
	seal(&m->header, "APIC", MADT_REVISION,
	     offsetof(struct madt, cpu) + nr_cpus * sizeof(m->cpu[0]));
}

void acpi_build(void *buf, uint32_t nr_cpus)
{
	struct tables *t = buf;

	build_rsdp(&t->rsdp);
	build_roots(&t->rsdt, &t->xsdt);
	build_fadt(&t->fadt);
	build_madt(&t->madt, nr_cpus);
	memcpy(t->facs.signature, "FACS", sizeof(t->facs.signature));
	t->facs.length = sizeof(t->facs);
	t->facs.version = 1;
	memcpy(t->dsdt.aml, dsdt_aml, sizeof(dsdt_aml));
	seal(&t->dsdt.header, "DSDT", 2, sizeof(t->dsdt));
}

int acpi_place(struct vm *vm)
{
	void *buf = vmalloc(ACPI_TABLES_SIZE, SENSITIVE, NULL); /* which clears */
	int err;

	if (!buf)
		return -ENOMEM;
	acpi_build(buf, vm->options.cpus);
	err = guestmem_write(vm, GPA(ACPI_TABLES), buf, ACPI_TABLES_SIZE);
	vfree(buf);
	return err;
}
