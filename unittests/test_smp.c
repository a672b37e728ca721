/* SPDX-License-Identifier: MIT */
/* boot/smp.c with processors that come up, that do not, and that are not there. Each reading of the TSC is a step of theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"

static uint64_t next_tsc(void);
#define rdtsc() next_tsc()
#include "arch/x86/cpus.c"
#include "arch/x86/tscsync.c"
#include "boot/smp.c"
#undef rdtsc

#define OWN_ID	   5
#define TRAMPOLINE 0x9e000UL
#define CPUS	   8 /* that the machine has, by APIC id */

struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t);
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi, fake_nr_mc;
struct ap_start ap_start;

/* How far one comes: up to this state, or it says that it is refused there. */
static struct cpu {
	bool exists, refuses, mute, waits, runs;
	enum ap_state up_to;
	int64_t tsc_off;
	unsigned int inits, startups;
} cpus[CPUS];
static uint32_t started; /* APIC id of the one that runs now */
static unsigned int installed, removed, areas_max, regions, lines, errors;
static char text[8192];
static struct acpi_info acpi;

static void step(struct cpu *c)
{
	if (!c->runs || ap_start.state == AP_PARKED || ap_start.state == AP_REFUSED)
		return;
	if (ap_start.state == AP_CHECKED && !c->mute &&
	    ap_start.tsc.asked != ap_start.tsc.answered) {
		ap_start.tsc.reading = fake_tsc + (uint64_t)c->tsc_off;
		ap_start.tsc.answered = ap_start.tsc.asked;
	}
	if (ap_start.state == AP_STARTING && c->up_to >= AP_CHECKED)
		ap_start.state = AP_CHECKED;
	else if (ap_start.state == AP_ACCEPTED && c->up_to >= AP_PARKED)
		ap_start.state = AP_PARKED;
	else if (c->refuses && ap_start.state == c->up_to) {
		ap_start.why = "for a ";
		ap_start.what = "test";
		ap_start.state = AP_REFUSED;
	}
}

static uint64_t next_tsc(void)
{
	fake_tsc += 500;
	step(&cpus[started]);
	return fake_tsc;
}

void load_fence(void)
{
}

uint64_t tsc_khz(void)
{
	return 10000;
}

void apic_send_init(uint32_t id)
{
	assert_true(id < 255 && id != OWN_ID);
	if (id >= CPUS || !cpus[id].exists)
		return;
	cpus[id].inits++;
	cpus[id].waits = true;
	cpus[id].runs = false;
}

void apic_send_startup(uint32_t id, uint8_t page)
{
	assert_int_equal(page, TRAMPOLINE >> 12);
	assert_int_equal(installed, 1);
	assert_int_equal(removed, 0);
	if (id >= CPUS || !cpus[id].exists)
		return;
	cpus[id].startups++;
	if (!cpus[id].waits)
		return; /* as the SDM has it */
	cpus[id].waits = false;
	cpus[id].runs = true;
	started = id;
}

uint32_t apic_id(void)
{
	return OWN_ID;
}

bool apic_reaches(uint32_t id)
{
	return id < 255;
}

void ap_trampoline_install(hpa_t page)
{
	assert_int_equal(page.v, TRAMPOLINE);
	installed++;
}

void ap_trampoline_remove(hpa_t page)
{
	assert_int_equal(page.v, TRAMPOLINE);
	removed++;
}

void topology_read(struct topology *out)
{
	*out = (struct topology){ .core = 7 }; /* the others, which tell nothing, share core 0 */
}

void tlb_flush_all(void)
{
}

void world_yield(void)
{
}

void apic_send_interrupt(uint32_t id, uint8_t vector)
{
	(void)id, (void)vector;
}

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_PAT);
	return PAT_RESET;
}

uint64_t hostmap_cr3(void)
{
	return 0x1000;
}

int hostmap_add_cpu(uint32_t cpu)
{
	assert_true(cpu < CPUS_MAX);
	return cpu < areas_max ? 0 : -1;
}

void *page_zalloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	(void)owner;
	assert_true(order == 0 && class == SENSITIVE);
	regions++;
	return &regions;
}

void page_free(void *hva, unsigned int order)
{
	assert_true(hva == &regions && order == 0);
	/* Nobody may use it any more: the CPU waits for a start-up IPI, if it ever was there. */
	assert_false(cpus[started].runs && cpus[started].exists);
	regions--;
}

void console_write(const char *line, size_t len)
{
	assert_true(strlen(text) + len < sizeof(text));
	strncat(text, line, len);
	lines++;
	errors += strncmp(line, "error: ", 7) == 0;
}

static int reset(void **state)
{
	(void)state;
	memset(cpus, 0, sizeof(cpus));
	for (unsigned int i = 0; i < CPUS; i++)
		cpus[i] = (struct cpu){ .exists = i != OWN_ID, .up_to = AP_PARKED };
	started = OWN_ID;
	installed = removed = regions = lines = errors = 0;
	areas_max = CPUS_MAX;
	cpus_count = 0;
	nr_areas = 1;
	text[0] = 0;
	acpi = (struct acpi_info){ .nr_cpus = 3, .apic_id = { OWN_ID, 1, 2 } };
	return 0;
}

static void run(uint32_t expected_cpus, unsigned int expected_errors)
{
	smp_prepare(&acpi);
	smp_start(&acpi, HPA(TRAMPOLINE), true);
	assert_int_equal(cpus_nr(), expected_cpus);
	assert_int_equal(errors, expected_errors);
	assert_int_equal(lines, expected_cpus + expected_errors);
	assert_int_equal(regions, expected_cpus - 1); /* of those that run */
	assert_int_equal(installed, removed);
	assert_int_equal(cpu_apic_id(0), OWN_ID);
}

static void test_all_come_up(void **state)
{
	(void)state;
	run(3, 0);
	assert_int_equal(cpu_apic_id(1), 1);
	assert_int_equal(cpu_apic_id(2), 2);
	assert_int_equal(cpu_siblings(0), 1);
	assert_int_equal(cpu_siblings(2), 6);
	assert_int_equal(cpu_thread(1), 0);
	assert_int_equal(cpu_thread(2), 1);
	assert_int_equal(cpus[1].inits, 1);
	assert_int_equal(cpus[1].startups, 2);
	assert_int_equal(ap_start.stack, percpu_base_stack_top(2));
	assert_non_null(strstr(text, "@cpu {\"cpu\":2,\"apic_id\":2,"));
}

/* Not there; hangs at each stage; refuses; does not answer; has another TSC. The next takes its number. */
static void test_one_does_not(void **state)
{
	static const struct {
		struct cpu cpu;
		const char *why;
	} cases[] = {
		{ { .exists = false }, "did not come up" },
		{ { .exists = true, .up_to = AP_STARTING }, "did not come up" },
		{ { .exists = true, .up_to = AP_CHECKED }, "did not come up" },
		{ { .exists = true, .up_to = AP_STARTING, .refuses = true }, "for a test" },
		{ { .exists = true, .up_to = AP_ACCEPTED, .refuses = true }, "for a test" },
		{ { .exists = true, .up_to = AP_PARKED, .mute = true }, "not answer" },
		{ { .exists = true, .up_to = AP_PARKED, .tsc_off = 100000 }, "ticks apart" },
		{ { .exists = true, .up_to = AP_PARKED, .tsc_off = -100000 }, "ticks apart" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t begin = fake_tsc;

		reset(state);
		cpus[1] = cases[i].cpu;
		run(2, 1);
		assert_non_null(strstr(text, "APIC id 1 is not used"));
		assert_non_null(strstr(text, cases[i].why));
		assert_int_equal(cpu_apic_id(1), 2);
		assert_int_equal(ap_start.cpu, 1);
		assert_false(cpus[1].runs);
		assert_int_equal(cpus[1].inits, cases[i].cpu.exists ? 2 : 0);
		assert_true(fake_tsc - begin < 2 * us_to_ticks(PATIENCE_US));
	}
}

static void test_small_distance(void **state)
{
	(void)state;
	cpus[1].tsc_off = 10;
	run(3, 0);
}

static void test_unreachable(void **state)
{
	(void)state;
	acpi.apic_id[1] = 255;
	acpi.apic_id[2] = 300;
	run(1, 2);
	assert_non_null(strstr(text, "xAPIC"));
}

static void test_nowhere_to_start(void **state)
{
	(void)state;
	smp_prepare(&acpi);
	smp_start(&acpi, HPA_NONE, true);
	assert_int_equal(cpus_nr(), 1);
	assert_int_equal(errors, 1);
	assert_int_equal(installed, 0);
}

/* Memory for two CPUs of eight: the others are not started. */
static void test_little_memory(void **state)
{
	(void)state;
	acpi.nr_cpus = 4;
	acpi.apic_id[3] = 3;
	areas_max = 2;
	run(2, 1);
	assert_int_equal(cpus[2].inits + cpus[3].inits, 0);
}

/* Without a MADT there is one, and its id there means nothing. A MADT may leave this CPU out, too. */
static void test_wrong_tables(void **state)
{
	(void)state;
	acpi = (struct acpi_info){ .nr_cpus = 1 };
	run(1, 0);
	assert_int_equal(cpus[0].inits, 0);
	reset(state);
	acpi = (struct acpi_info){ .nr_cpus = 3, .apic_id = { 1, 2, 3 } };
	run(3, 0);
	assert_int_equal(cpus[3].inits, 0);
	reset(state);
	acpi.nr_cpus = CPUS_MAX;
	for (uint32_t i = 0; i < CPUS_MAX; i++)
		acpi.apic_id[i] = 100 + i; /* none is there */
	run(1, CPUS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_come_up, reset),
		cmocka_unit_test_setup(test_one_does_not, reset),
		cmocka_unit_test_setup(test_small_distance, reset),
		cmocka_unit_test_setup(test_unreachable, reset),
		cmocka_unit_test_setup(test_nowhere_to_start, reset),
		cmocka_unit_test_setup(test_little_memory, reset),
		cmocka_unit_test_setup(test_wrong_tables, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
