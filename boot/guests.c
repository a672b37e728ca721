/* SPDX-License-Identifier: MIT */
/* Boot modules become VMs here; the exit path knows nothing of modules. */
#include "boot/guests.h"
#include "arch/insn.h"
#include "asi/secrets.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "mm/addr.h"
#include "vmm/audit.h"
#include "vmm/loader.h"
#include "vmm/report.h"
#include "vmm/secrets.h"
#include "vmm/vm.h"

#define INITRD_KEY "initrd-of"

extern char boot_stack_bottom[]; /* start.S */

static struct vm *vms[BOOTINFO_MODULES_MAX];
static unsigned int nr_vms, nr_refused;
static bool none_given;

static bool is_initrd(const struct boot_module *m)
{
	const char *line = m->cmdline;
	struct word w, value;

	return parse_word(&line, &w) && parse_key(w, INITRD_KEY, &value);
}

/* The modules behind @first that belong to its guest; their text is the guest's "initrd". */
static unsigned int collect_modules(const struct boot_info *info, uint32_t first,
				    struct vm_module *out)
{
	unsigned int n = 0;

	for (uint32_t i = first + 1; i < info->nr_modules && is_initrd(&info->modules[i]); i++)
		out[n++] = (struct vm_module){ hpa_to_direct(HPA(info->modules[i].start)),
					       info->modules[i].len, "initrd" };
	return n;
}

static void create_one(const struct boot_info *info, uint32_t i, enum vm_asi asi)
{
	static struct vm_module modules[BOOTINFO_MODULES_MAX];
	const struct boot_module *m = &info->modules[i];
	struct vm_options options;
	char why[128];

	if (vm_options_parse(m->cmdline, &options, why, sizeof(why))) {
		log_error("module %u: %s", i + 1, why);
		nr_refused++;
		return;
	}
	if (options.asi == VM_ASI_DEFAULT)
		options.asi = asi;
	loader_defaults(&options, hpa_to_direct(HPA(m->start)), m->len);
	if (vm_create(&options, hpa_to_direct(HPA(m->start)), m->len, modules,
		      collect_modules(info, i, modules), &vms[nr_vms]))
		nr_refused++;
	else
		nr_vms++;
}

static void report_memory(void)
{
	report_mem();
	for (unsigned int i = 0; i < nr_vms; i++)
		report_mem_vm(vms[i]);
}

void guests_create(const struct boot_info *info, const char *vmx_missing, enum vm_asi asi)
{
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		if (is_initrd(&info->modules[i])) {
			if (i == 0)
				log_error("module 1: an initrd without a guest before it");
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
	report_memory();
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
	for (unsigned int i = 0; !err && i < nr_vms; i++)
		err = vm_plant_secrets(vms[i]);
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

uint8_t guests_run(bool selftest_passed, const struct options *o)
{
	bool secrets = o->secrets && plant_secrets();
	uint64_t violations = inspect(o, secrets, "boot") + (o->secrets && !secrets);
	unsigned int passed = 0;
	bool pass;

	report_hidden(vms, nr_vms);
	violations += vm_run_all(vms, nr_vms, o->audit_ms);
	for (unsigned int i = 0; i < nr_vms; i++)
		passed += vms[i]->verdict == VERDICT_PASS;
	report_asi();
	report_crossings();
	if (o->trace)
		report_trace();
	report_memory();
	violations += inspect(o, secrets, "end"); /* the domains still stand */
	if (secrets)
		secrets_end();
	for (unsigned int i = 0; i < nr_vms; i++)
		vm_destroy(vms[i]);
	report_mem(); /* everything has come back */
	pass = selftest_passed && !violations && !nr_refused && !none_given && passed == nr_vms;
	log_info("@end {\"verdict\":\"%s\",\"guests\":%u,\"passed\":%u,\"failed\":%u}",
		 pass ? "pass" : "fail", nr_vms + nr_refused, passed, nr_vms + nr_refused - passed);
	return pass ? 0 : 1;
}
