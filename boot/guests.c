/* SPDX-License-Identifier: MIT */
/* Boot modules become VMs here; the exit path knows nothing of modules. */
#include "boot/guests.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "asi/expose.h"
#include "asi/secrets.h"
#include "asi/stun.h"
#include "boot/ap.h"
#include "boot/monitor.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "mm/addr.h"
#include "vmm/abi.h"
#include "vmm/audit.h"
#include "vmm/control.h"
#include "vmm/loader.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/secrets.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

extern char boot_stack_bottom[]; /* start.S */

/* What a guest is made of, as often as it is made; and the VM that was made last. */
struct guest {
	struct vm_options options;
	const void *image;
	size_t len;
	struct vm_module modules[BOOTINFO_MODULES_MAX];
	unsigned int nr_modules;
	struct vm *vm; /* NULL: destroyed, or refused */
};

static struct guest guests[BOOTINFO_MODULES_MAX];
static unsigned int nr_guests;
static unsigned int nr_refused; /* modules that are no guest, or could not be made one */
static unsigned int nr_made, nr_passed, nr_ended;
static bool none_given;
static bool can_type;	      /* there is a monitor */
static uint32_t control_busy; /* atomic */
static uint64_t run_cpus;     /* that run guests */

/* What a module is to the guest before it. */
enum part { PART_NONE, PART_INITRD, PART_DISK };

static enum part part_of(const struct boot_module *m)
{
	const char *line = m->cmdline;
	struct word w, value;

	if (!parse_word(&line, &w))
		return PART_NONE;
	if (parse_key(w, "disk-of", &value))
		return PART_DISK;
	return parse_key(w, "initrd-of", &value) ? PART_INITRD : PART_NONE;
}

/* The modules behind @first that belong to its guest: one may be its disk, the others' text is "initrd". 0 or -EINVAL. */
static int collect_parts(const struct boot_info *info, uint32_t first, struct guest *g)
{
	for (uint32_t i = first + 1; i < info->nr_modules; i++) {
		const struct boot_module *m = &info->modules[i];
		const void *data = hpa_to_direct(HPA(m->start));
		enum part part = part_of(m);

		if (part == PART_NONE)
			break;
		if (part == PART_INITRD) {
			g->modules[g->nr_modules++] = (struct vm_module){ data, m->len, "initrd" };
			continue;
		}
		if (g->options.disk || !m->len) {
			log_error("module %u: %s", i + 1,
				  m->len ? "a second disk for one guest" : "the disk is empty");
			return -EINVAL;
		}
		g->options.disk = data;
		g->options.disk_len = m->len;
	}
	return 0;
}

static int make(struct guest *g)
{
	int err = vm_create(&g->options, g->image, g->len, g->modules, g->nr_modules, &g->vm);

	if (!err)
		nr_made++;
	return err;
}

/* The verdict counts when the VM goes. */
static void unmake(struct guest *g)
{
	nr_passed += g->vm->verdict == VERDICT_PASS;
	nr_ended += g->vm->verdict == VERDICT_ENDED;
	vm_destroy(g->vm);
	g->vm = NULL;
}

/* What the guest of module @i is to be made of. 0, or -EINVAL and a line that says why. */
static int read_guest(const struct boot_info *info, uint32_t i, enum vm_asi asi, struct guest *g)
{
	const struct boot_module *m = &info->modules[i];
	char why[128];

	if (vm_options_parse(m->cmdline, &g->options, why, sizeof(why))) {
		log_error("module %u: %s", i + 1, why);
		return -EINVAL;
	}
	if (g->options.asi == VM_ASI_DEFAULT)
		g->options.asi = asi;
	g->image = hpa_to_direct(HPA(m->start));
	g->len = m->len;
	g->nr_modules = 0;
	if (collect_parts(info, i, g))
		return -EINVAL;
	loader_defaults(&g->options, g->image, g->len);
	if (g->options.platform == VM_PLATFORM_PIC && g->options.cpus > 1) {
		log_error("module %u: platform=pic interrupts one vCPU, not %u: take platform=apic",
			  i + 1, g->options.cpus);
		return -EINVAL;
	}
	if (g->options.disk && g->options.platform == VM_PLATFORM_NONE) {
		log_error("module %u: a disk needs platform=pic or apic", i + 1);
		return -EINVAL;
	}
	return 0;
}

static void create_one(const struct boot_info *info, uint32_t i, enum vm_asi asi)
{
	struct guest *g = &guests[nr_guests++];

	if (read_guest(info, i, asi, g)) {
		nr_guests--;
		nr_refused++;
	} else if (make(g)) {
		nr_refused++;
	}
}

static int64_t state_of(const struct guest *g)
{
	if (!g->vm)
		return HC_VM_NONE;
	return sched_has_ended(g->vm) ? HC_VM_ENDED : HC_VM_RUNS;
}

static int64_t stop(struct guest *g)
{
	if (!g->vm)
		return HC_EINVAL;
	vm_stop(g->vm, VERDICT_ENDED, NULL, 0);
	return 0;
}

static int64_t destroy(struct guest *g)
{
	if (!g->vm)
		return HC_EINVAL;
	if (!sched_has_ended(g->vm))
		return HC_EBUSY;
	report_trace_vm(g->vm);
	unmake(g);
	return 0;
}

static int run_vm(struct vm *vm)
{
	vm->com1.connected = can_type;
	return sched_start(vm);
}

static int64_t create(struct guest *g)
{
	int err;

	if (g->vm)
		return HC_EBUSY;
	err = make(g);
	if (err)
		return err;
	err = run_vm(g->vm);
	if (err) {
		nr_made--;
		vm_destroy(g->vm);
		g->vm = NULL;
	}
	return err;
}

static int64_t control(const struct control_request *r)
{
	struct guest *g = r->vm < nr_guests ? &guests[r->vm] : NULL;

	if (!g)
		return HC_EINVAL;
	switch (r->number) {
	case HC_VM_STATE:
		return state_of(g);
	case HC_VM_STOP:
		return stop(g);
	case HC_VM_DESTROY:
		return destroy(g);
	default:
		return create(g);
	}
}

int64_t control_vm(const struct control_request *r)
{
	int64_t result;

	if (!guests_hold())
		return -EAGAIN;
	result = control(r);
	guests_release();
	return result;
}

/* Nobody waits here: making a VM waits for other CPUs' flushes itself. */
bool guests_hold(void)
{
	return !__atomic_exchange_n(&control_busy, 1, __ATOMIC_ACQUIRE);
}

void guests_release(void)
{
	__atomic_store_n(&control_busy, 0, __ATOMIC_RELEASE);
}

unsigned int guests_nr(void)
{
	return nr_guests;
}

struct vm *guests_vm(unsigned int nr)
{
	return guests[nr].vm;
}

const struct vm_options *guests_options(unsigned int nr)
{
	return &guests[nr].options;
}

int guests_start(unsigned int nr)
{
	int64_t err = guests[nr].vm ? destroy(&guests[nr]) : 0;

	return (int)(err ? err : create(&guests[nr]));
}

void guests_report_surfaces(void)
{
	struct vm *vms[BOOTINFO_MODULES_MAX];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < nr_guests; i++)
		if (guests[i].vm)
			vms[nr++] = guests[i].vm;
	report_hidden(vms, nr);
}

void guests_report_traces(void)
{
	for_each_cpu (cpu, run_cpus)
		report_trace_cpu(cpu);
	for (unsigned int i = 0; i < nr_guests; i++)
		if (guests[i].vm)
			report_trace_vm(guests[i].vm);
}

void guests_report_memory(void)
{
	report_mem();
	for (unsigned int i = 0; i < nr_guests; i++)
		if (guests[i].vm)
			report_mem_vm(guests[i].vm);
}

void guests_create(const struct boot_info *info, const char *vmx_missing, enum vm_asi asi)
{
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		if (part_of(&info->modules[i]) != PART_NONE) {
			if (i == 0)
				log_error("module 1: an initrd or disk without a guest before it");
		} else if (vmx_missing) {
			log_error("module %u: cannot run without VMX", i + 1);
			nr_refused++;
		} else {
			create_one(info, i, asi);
		}
	}
	if (info->nr_modules == 0 && !vmx_missing) {
		log_error("no guest: boot with a Multiboot module, e.g. scripts/run --guest FILE");
		none_given = true;
	}
	guests_report_memory();
}

/*
 * A secret in every kind of memory. What was hv_main's stack is one of them: it is left behind by now.
 * False if memory has run out.
 */
static bool plant_secrets(void)
{
	int err = secrets_begin(rdtsc());

	if (err) {
		log_error("secrets: no memory");
		return false;
	}
	secrets_plant(boot_stack_bottom, "the boot stack", NULL);
	err = secrets_plant_machine();
	if (!err)
		err = secrets_plant_class(SENSITIVE, NULL);
	if (!err)
		err = secrets_plant_class(GLOBAL, NULL);
	for (unsigned int i = 0; !err && i < nr_guests; i++)
		if (guests[i].vm)
			err = vm_plant_secrets(guests[i].vm);
	if (err) {
		log_error("secrets: no memory");
		secrets_end();
	}
	return !err;
}

/* Audits and searches as far as it was asked for; what is wrong. */
static uint64_t inspect(const struct options *o, bool secrets, const char *when)
{
	return (o->audit ? audit_report(when) : 0) + (secrets ? secrets_search(when) : 0);
}

/* What guests on @cpus need, the idle domain too, so that it is there to be inspected. 0 or -ENOMEM. */
static int prepare(const struct options *o, uint64_t cpus)
{
	uint64_t flags = irq_save();
	int err;

	stun_init(o->stun, cpus);
	err = sched_init(cpus, o->audit_ms, o->idle_poll);
	irq_restore(flags);
	return err;
}

/* All that have been made, on all CPUs of @cpus, until none is left; none if @err, of prepare(). */
static void run_all(uint64_t cpus, int err)
{
	uint64_t flags = irq_save();

	if (!err && can_type)
		monitor_begin();
	for (unsigned int i = 0; !err && i < nr_guests; i++)
		if (guests[i].vm)
			err = run_vm(guests[i].vm);
	if (err)
		log_error("no memory to run guests");
	else
		ap_do_everywhere(AP_GUESTS, cpus);
	irq_restore(flags);
}

void guests_report_cpus(void)
{
	report_asi();
	for_each_cpu (cpu, run_cpus)
		report_sched(cpu);
}

static void report_run(void)
{
	report_experiment();
	guests_report_cpus();
	report_crossings();
	guests_report_traces();
	guests_report_memory();
}

uint8_t guests_run(bool selftest_passed, const struct options *o)
{
	uint64_t cpus = run_cpus = stun_cpus(o->smt);
	const char *refusal = stun_refusal(o->strict, o->stun, cpus);
	int err = nr_made && !refusal ? prepare(o, cpus) : 0;
	bool secrets = o->secrets && plant_secrets();
	uint64_t violations = inspect(o, secrets, "boot") + (o->secrets && !secrets);
	unsigned int nr, failed;
	bool pass;

	can_type = o->monitor != MONITOR_OFF && !refusal && nr_made;
	guests_report_surfaces();
	report_details(o->detail);
	report_guests_begin();
	if (refusal)
		log_error("no guest is run: %s", refusal);
	else if (nr_made)
		run_all(cpus, err);
	violations += sched_report_audits();
	violations += monitor_violations();
	report_run();
	violations += inspect(o, secrets, "end"); /* the domains still stand */
	if (secrets)
		secrets_end();
	for (unsigned int i = 0; i < nr_guests; i++)
		if (guests[i].vm)
			unmake(&guests[i]);
	report_mem(); /* everything has come back */
	nr = nr_made + nr_refused;
	failed = nr - nr_passed - nr_ended;
	pass = selftest_passed && !violations && !none_given && !failed;
	log_info("@end "
		 "{\"verdict\":\"%s\",\"guests\":%u,\"passed\":%u,\"ended\":%u,\"failed\":%u%s}",
		 pass ? "pass" : "fail", nr, nr_passed, nr_ended, failed, asi_experiment());
	return pass ? 0 : 1;
}
