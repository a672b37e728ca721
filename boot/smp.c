/* SPDX-License-Identifier: MIT */
/* The boot processor's side: SDM, "MP Initialization Protocol Algorithm for MP Systems". */
#include "boot/smp.h"
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu_area.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "boot/ap.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"

#define INIT_US	     10000
#define STARTUP_US   200
#define STARTUPS     2	     /* the second is for CPUs that have lost the first; others ignore it */
#define PATIENCE_US  1000000 /* for one to come up, by far */
#define TSC_APART_US 1

static uint32_t nr_areas = 1;
static char reason[128];

void __init smp_prepare(const struct acpi_info *acpi)
{
	while (nr_areas < acpi->nr_cpus && !hostmap_add_cpu(nr_areas))
		nr_areas++;
	if (nr_areas < acpi->nr_cpus)
		log_error("memory for %u CPUs only, of %u", nr_areas, acpi->nr_cpus);
}

static uint64_t __init us_to_ticks(uint64_t us)
{
	return us * tsc_khz() / 1000;
}

static void __init delay_us(uint64_t us)
{
	uint64_t start = rdtsc();

	while (rdtsc() - start < us_to_ticks(us))
		cpu_pause();
}

/* Until the CPU says @wanted: NULL, or why it does not. */
static const char *__init await(enum ap_state wanted)
{
	uint64_t start = rdtsc();
	uint32_t state;

	do {
		state = __atomic_load_n(&ap_start.state, __ATOMIC_ACQUIRE);
		if (state == wanted)
			return NULL;
		if (state == AP_REFUSED) {
			fmt_print(reason, sizeof(reason), "%s%s", ap_start.why, ap_start.what);
			return reason;
		}
		cpu_pause();
	} while (rdtsc() - start < us_to_ticks(PATIENCE_US));
	return "it did not come up";
}

static const char *__init compare_tsc(void)
{
	uint64_t off;

	if (!tscsync_ask(&ap_start.tsc, us_to_ticks(PATIENCE_US), &off))
		return "it does not answer any more";
	if (off <= us_to_ticks(TSC_APART_US))
		return NULL;
	fmt_print(reason, sizeof(reason),
		  "its TSC and the boot processor's are at least %lu ticks apart", off);
	return reason;
}

/* NULL, or why it is not used; then it may be anywhere on its way. */
static const char *__init bring_up(uint32_t id, hpa_t trampoline)
{
	const char *why;

	apic_send_init(id);
	delay_us(INIT_US);
	for (unsigned int i = 0; i < STARTUPS; i++) {
		apic_send_startup(id, (uint8_t)hpa_to_pfn(trampoline));
		delay_us(STARTUP_US);
	}
	why = await(AP_CHECKED);
	if (!why)
		why = compare_tsc();
	if (why)
		return why;
	__atomic_store_n(&ap_start.state, AP_ACCEPTED, __ATOMIC_RELEASE);
	return await(AP_PARKED);
}

static const char *__init start(uint32_t id, hpa_t trampoline, bool vmx)
{
	void *region = vmx ? page_zalloc(0, SENSITIVE, NULL) : NULL;
	const char *why;

	if (vmx && !region)
		return "no memory for VMX";
	ap_start = (struct ap_start){ .cr3 = hostmap_cr3(),
				      .stack = percpu_base_stack_top(cpus_nr()),
				      .pat = rdmsr(MSR_PAT),
				      .vmx_region = region,
				      .cpu = cpus_nr() };
	why = bring_up(id, trampoline);
	if (!why)
		return NULL;
	/* It waits for a start-up IPI then, and will never touch anything of ours: the next one gets it all. */
	apic_send_init(id);
	delay_us(INIT_US);
	if (region)
		page_free(region, 0);
	return why;
}

static void __init add(uint32_t id, const struct topology *t)
{
	log_info("@cpu {\"cpu\":%u,\"apic_id\":%u,\"package\":%u,\"core\":%u,\"thread\":%u}",
		 cpus_add(id, t), id, t->package, t->core, t->thread);
}

static void __init start_listed(uint32_t id, hpa_t trampoline, bool vmx)
{
	const char *why =
		apic_reaches(id) ? start(id, trampoline, vmx) : "an xAPIC cannot reach it";

	if (why) {
		log_error("the CPU with APIC id %u is not used: %s", id, why);
		return;
	}
	add(id, &ap_start.topology);
}

void __init smp_start(const struct acpi_info *acpi, hpa_t trampoline, bool vmx)
{
	struct topology own;

	topology_read(&own);
	add(apic_id(), &own);
	if (trampoline.v == HPA_NONE.v) {
		if (nr_areas > 1)
			log_error("no RAM below 1 MiB to start other CPUs from");
		return;
	}
	ap_trampoline_install(trampoline);
	/* Where the MADT does not list this CPU, one less than it lists. */
	for (uint32_t i = 0; i < acpi->nr_cpus && cpus_nr() < nr_areas; i++)
		if (acpi->apic_id[i] != cpu_apic_id(0))
			start_listed(acpi->apic_id[i], trampoline, vmx);
	ap_trampoline_remove(trampoline);
}
