/* SPDX-License-Identifier: MIT */
/* boot/options.c and vmm/vmoptions.c: the two command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "boot/options.h"
#include "lib/errno.h"
#include <string.h>
#include "vmm/vmoptions.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Each word sets its field and nothing else; the last of two wins; a leading path is no word. */
static void test_hypervisor_words(void **state)
{
	static const struct {
		const char *line;
		bool asi, strict, pcid, selftest, audit;
		const char *console;
		uint64_t audit_ms;
		bool secrets;
	} cases[] = {
		{ "", true, false, true, false, true, "", 0, false },
		{ "asi=off", false, false, true, false, true, "", 0, false },
		{ "asi=strict", true, true, true, false, true, "", 0, false },
		{ "asi=strict asi=on", true, false, true, false, true, "", 0, false },
		{ "pcid=off", true, false, false, false, true, "", 0, false },
		{ "selftest=on", true, false, true, true, true, "", 0, false },
		{ "torture=on", true, false, true, false, true, "", 0, false },
		{ "audit=off", true, false, true, false, false, "", 0, false },
		{ "races=3 races=0x20", true, false, true, false, true, "", 0, false },
		{ "secrets=on", true, false, true, false, true, "", 0, true },
		{ "audit=10", true, false, true, false, true, "", 10, false },
		{ "audit=off audit=0x20", true, false, true, false, true, "", 32, false },
		{ "audit=5 audit=on", true, false, true, false, true, "", 0, false },
		{ "audit=5 audit=off", true, false, true, false, false, "", 0, false },
		{ "asi=off asi=on", true, false, true, false, true, "", 0, false },
		{ "/boot/vestibule.elf console=com2 selftest=on", true, false, true, true, true,
		  "com2", 0, false },
		{ " \t console=0x2f8  audit=off ", true, false, true, false, false, "0x2f8", 0,
		  false },
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		options_parse(cases[i].line, &o);
		assert_int_equal(o.nr_problems, 0);
		assert_int_equal(o.asi, cases[i].asi);
		assert_int_equal(o.strict, cases[i].strict);
		assert_int_equal(o.pcid, cases[i].pcid);
		assert_int_equal(o.selftest, cases[i].selftest);
		assert_int_equal(o.audit, cases[i].audit);
		assert_int_equal(o.torture, strstr(cases[i].line, "torture=on") != NULL);
		assert_int_equal(o.races, strstr(cases[i].line, "races=0x20") ? 32 : 0);
		assert_int_equal(o.audit_ms, cases[i].audit_ms);
		assert_int_equal(o.secrets, cases[i].secrets);
		assert_true(parse_is(o.console, cases[i].console));
	}
}

/* What threads of a core may do. */
static void test_sibling_words(void **state)
{
	struct options o;

	(void)state;
	options_parse("", &o);
	assert_true(o.stun && o.smt);
	options_parse("stun=off", &o);
	assert_true(!o.stun && o.smt && !o.nr_problems);
	options_parse("smt=off stun=on", &o);
	assert_true(o.stun && !o.smt && !o.nr_problems);
	options_parse("smt=2 stun", &o);
	assert_true(o.stun && o.smt);
	assert_int_equal(o.nr_problems, 2);
	assert_string_equal(o.problems[0], "option \"smt=2\" ignored: on and off are known");
	assert_string_equal(o.problems[1], "unknown option \"stun\" ignored");
}

/* mitigate= and bench=. */
static void test_mitigate_words(void **state)
{
	struct options o;
	const char *name;

	(void)state;
	options_parse("", &o);
	assert_int_equal(o.mitigate, MITIGATE_AUTO);
	assert_false(o.bench);
	for (unsigned int mode = 0; (name = mitigate_mode_name(mode)); mode++) {
		char line[64];

		snprintf(line, sizeof(line), "mitigate=%s bench=on", name);
		options_parse(line, &o);
		assert_int_equal(o.nr_problems, 0);
		assert_int_equal(o.mitigate, mode);
		assert_true(o.bench);
	}
	options_parse("mitigate=asi mitigate=full", &o);
	assert_int_equal(o.mitigate, MITIGATE_ASI);
	assert_int_equal(o.nr_problems, 1);
	assert_string_equal(o.problems[0],
			    "\"mitigate=full\" ignored: none, entry, exit, asi and auto are known");
}

/* idle=: CPUs without work halt unless they are told to poll. */
static void test_idle_words(void **state)
{
	static const struct {
		const char *line;
		bool poll;
		const char *problem;
	} cases[] = {
		{ "", false, NULL },
		{ "idle=poll", true, NULL },
		{ "idle=halt", false, NULL },
		{ "idle=poll idle=halt", false, NULL },
		{ "idle=poll idle=mwait", true,
		  "option \"idle=mwait\" ignored: halt and poll are known" },
		{ "idle=", false, "option \"idle=\" ignored: halt and poll are known" },
		{ "idle", false, "unknown option \"idle\" ignored" },
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		options_parse(cases[i].line, &o);
		assert_int_equal(o.idle_poll, cases[i].poll);
		assert_int_equal(o.nr_problems, cases[i].problem != NULL);
		if (cases[i].problem)
			assert_string_equal(o.problems[0], cases[i].problem);
	}
}

static void test_monitor_words(void **state)
{
	struct options o;

	(void)state;
	options_parse("", &o);
	assert_int_equal(o.monitor, MONITOR_OFF);
	options_parse("monitor=on", &o);
	assert_int_equal(o.monitor, MONITOR_ON);
	options_parse("monitor=on monitor=poll", &o);
	assert_int_equal(o.monitor, MONITOR_POLL);
	options_parse("monitor=poll monitor=off", &o);
	assert_int_equal(o.monitor, MONITOR_OFF);
	assert_int_equal(o.nr_problems, 0);
	options_parse("monitor=yes", &o);
	assert_int_equal(o.monitor, MONITOR_OFF);
	assert_string_equal(o.problems[0],
			    "option \"monitor=yes\" ignored: on, off and poll are known");
}

/* A wrong word costs one line that names it, and the words around it still count. */
static void test_hypervisor_problems(void **state)
{
	static const struct {
		const char *word, *line;
	} cases[] = {
		{ "foo", "unknown option \"foo\" ignored" },
		{ "asi", "unknown option \"asi\" ignored" },
		{ "asi=maybe", "option \"asi=maybe\" ignored: on, off and strict are known" },
		{ "pcid=1", "option \"pcid=1\" ignored: on and off are known" },
		{ "audit=", "option \"audit=\" ignored: on, off and milliseconds are known" },
		{ "audit=0", "option \"audit=0\" ignored: on, off and milliseconds are known" },
		{ "audit=-1", "option \"audit=-1\" ignored: on, off and milliseconds are known" },
		{ "races=all", "option \"races=all\" ignored: a number of rounds is known" },
		{ "not/first", "unknown option \"not/first\" ignored" },
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char line[128];

		snprintf(line, sizeof(line), "audit=off %s selftest=on", cases[i].word);
		options_parse(line, &o);
		assert_int_equal(o.nr_problems, 1);
		assert_string_equal(o.problems[0], cases[i].line);
		assert_true(o.asi && o.selftest && !o.audit);
	}
}

/* More problems than there is room for are summed up in the last line; long words are cut. */
static void test_hypervisor_many_problems(void **state)
{
	char line[1024];
	struct options o;

	(void)state;
	options_parse("1 2 3 4 5 6 7 8", &o);
	assert_int_equal(o.nr_problems, 8);
	assert_string_equal(o.problems[7], "unknown option \"8\" ignored");
	options_parse("1 2 3 4 5 6 7 8 9 10", &o);
	assert_int_equal(o.nr_problems, 8);
	assert_string_equal(o.problems[6], "unknown option \"7\" ignored");
	assert_string_equal(o.problems[7], "more options are wrong than are listed here");

	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	options_parse(line, &o);
	assert_int_equal(strlen(o.problems[0]), OPTIONS_PROBLEM_LEN - 1);
}

/* A guest's words set their fields; what stands behind "--" is the guest's, unread. */
#define DEFAULTS .mem_mib = 0, .cpus = 1, .args = ""

static void test_guest_words(void **state)
{
	static const struct {
		const char *line;
		struct vm_options want;
	} cases[] = {
		{ "", { DEFAULTS } },
		{ "name=cpuid", { DEFAULTS, .name = "cpuid" } },
		{ "/g/x.elf name=a.b_c-9 mem=128",
		  { .name = "a.b_c-9", .mem_mib = 128, .cpus = 1, .args = "" } },
		{ "mem=0x40 cpus=1 asi=off domain=vm",
		  { .mem_mib = 64, .cpus = 1, .args = "", .asi = VM_ASI_OFF } },
		{ "asi=on domain=vcpu", { DEFAULTS, .asi = VM_ASI_ON, .domain = VM_DOMAIN_VCPU } },
		{ "asi=strict", { DEFAULTS, .asi = VM_ASI_STRICT } },
		{ "limit=2500 mem=1", { .mem_mib = 1, .cpus = 1, .args = "", .limit_ms = 2500 } },
		{ "mem=8388608", { .mem_mib = 8388608, .cpus = 1, .args = "" } },
		{ "platform=pic", { DEFAULTS, .platform = VM_PLATFORM_PIC } },
		{ "platform=apic", { DEFAULTS, .platform = VM_PLATFORM_APIC, .apic = true } },
		{ "platform=pic platform=none", { DEFAULTS, .platform = VM_PLATFORM_NONE } },
		{ "name=x -- a b  name=y --",
		  { .name = "x", .mem_mib = 0, .cpus = 1, .args = "a b  name=y --" } },
		{ "--", { DEFAULTS } },
		{ "-- ", { DEFAULTS } },
		{ "x/y -- z", { .mem_mib = 0, .cpus = 1, .args = "z" } },
		{ "name=0123456789012345678901234567890",
		  { DEFAULTS, .name = "0123456789012345678901234567890" } },
		{ "input=virtio", { DEFAULTS, .input = VM_INPUT_VIRTIO } },
		{ "input=virtio input=com1", { DEFAULTS } },
		{ "control=on", { DEFAULTS, .control = true } },
		{ "control=on control=off", { DEFAULTS } },
		{ "-- control=on cpus=8",
		  { .mem_mib = 0, .cpus = 1, .args = "control=on cpus=8" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct vm_options *want = &cases[i].want;
		struct vm_options o;
		char why[96];

		assert_int_equal(vm_options_parse(cases[i].line, &o, why, sizeof(why)), 0);
		assert_string_equal(o.name, want->name);
		assert_int_equal(o.mem_mib, want->mem_mib);
		assert_int_equal(o.cpus, want->cpus);
		assert_int_equal(o.asi, want->asi);
		assert_int_equal(o.domain, want->domain);
		assert_int_equal(o.limit_ms, want->limit_ms);
		assert_int_equal(o.platform, want->platform);
		assert_string_equal(o.args, want->args);
		assert_int_equal(o.control, want->control);
		assert_int_equal(o.input, want->input ? want->input : VM_INPUT_COM1);
	}
}

static void test_guest_map(void **state)
{
	static const struct {
		const char *line;
		enum guest_map want;
	} cases[] = {
		{ "mem=1", GUEST_MAP_ALL },
		{ "guest-map=all", GUEST_MAP_ALL },
		{ "guest-map=none", GUEST_MAP_NONE },
		{ "guest-map=none guest-map=all", GUEST_MAP_ALL },
		{ "-- guest-map=none", GUEST_MAP_ALL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vm_options o;
		char why[96];

		assert_int_equal(vm_options_parse(cases[i].line, &o, why, sizeof(why)), 0);
		assert_int_equal(o.guest_map, cases[i].want);
	}
}

static void test_apicv(void **state)
{
	static const struct {
		const char *line;
		int want; /* -1: refused */
	} cases[] = {
		{ "mem=1", VM_APICV_OFF },
		{ "apicv=auto", VM_APICV_AUTO },
		{ "apicv=on", VM_APICV_ON },
		{ "apic=on apicv=off", VM_APICV_OFF },
		{ "apicv=on apicv=auto", VM_APICV_AUTO },
		{ "-- apicv=on", VM_APICV_OFF },
		{ "apicv=yes", -1 },
		{ "apicv=", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vm_options o;
		char why[96] = "";
		int err = vm_options_parse(cases[i].line, &o, why, sizeof(why));

		assert_int_equal(err, cases[i].want < 0 ? -EINVAL : 0);
		if (err)
			assert_non_null(strstr(why, "auto, on and off are known"));
		else
			assert_int_equal(o.apicv, cases[i].want);
	}
}

static void test_apic(void **state)
{
	static const struct {
		const char *line;
		int want; /* -1: refused */
	} cases[] = {
		{ "mem=1", 0 },
		{ "apic=on", 1 },
		{ "apic=off", 0 },
		{ "apic=on apic=off mem=5000", 0 },
		{ "-- apic=on", 0 },
		{ "apic=on mem=3840", 1 },
		{ "apic=on mem=3841", -1 },
		{ "mem=3841 apic=on -- x", -1 },
		{ "platform=apic", 1 },
		{ "platform=apic platform=pic", 0 },
		{ "platform=pic", 0 },
		{ "platform=apic mem=3841", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vm_options o;
		char why[96];
		int r = vm_options_parse(cases[i].line, &o, why, sizeof(why));

		assert_int_equal(r, cases[i].want < 0 ? -EINVAL : 0);
		if (!r)
			assert_int_equal(o.apic, cases[i].want);
		else
			assert_string_equal(why, "apic=on: mem= is at most 3840 then");
	}
}

/* Several vCPUs need local APICs to start each other; they get them unless that was refused. */
static void test_cpus(void **state)
{
	static const struct {
		const char *line;
		uint32_t cpus;
		bool apic;
		const char *why; /* refused */
	} cases[] = {
		{ "cpus=1", 1, false, NULL },
		{ "cpus=1 apic=on", 1, true, NULL },
		{ "cpus=2", 2, true, NULL },
		{ "cpus=8", 8, true, NULL },
		{ "cpus=0x8 apic=on", 8, true, NULL },
		{ "cpus=8 cpus=1", 1, false, NULL },
		{ "apic=off cpus=8 cpus=1", 1, false, NULL },
		{ "apic=off apic=on cpus=3", 3, true, NULL },
		{ "cpus=3 mem=3840", 3, true, NULL },
		{ "cpus=3 mem=3841", 0, false, "apic=on: mem= is at most 3840 then" },
		{ "cpus=1 mem=3841", 1, false, NULL },
		{ "apic=off platform=apic", 0, false, "apic=off: platform=apic needs local APICs" },
		{ "cpus=2 apic=off", 0, false, "apic=off: only the first of 2 vCPUs could run" },
		{ "apic=off cpus=8", 0, false, "apic=off: only the first of 8 vCPUs could run" },
		{ "apic=on apic=off cpus=8", 0, false,
		  "apic=off: only the first of 8 vCPUs could run" },
		{ "cpus=0", 0, false, "cpus=0: not a number of vCPUs" },
		{ "cpus=9", 0, false, "cpus=9: more vCPUs than a VM can have, which are 8" },
		{ "cpus=9 cpus=1", 0, false, "cpus=9: more vCPUs than a VM can have, which are 8" },
		{ "cpus=4294967297", 0, false,
		  "cpus=4294967297: more vCPUs than a VM can have, which are 8" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vm_options o;
		char why[96];
		int r = vm_options_parse(cases[i].line, &o, why, sizeof(why));

		assert_int_equal(r, cases[i].why ? -EINVAL : 0);
		if (r) {
			assert_string_equal(why, cases[i].why);
			continue;
		}
		assert_int_equal(o.cpus, cases[i].cpus);
		assert_int_equal(o.apic, cases[i].apic);
	}
}

/* Every wrong word of a guest is refused, with a line that begins with the word. */
static void test_guest_problems(void **state)
{
	static const char *const words[] = {
		"foo",
		"mem",
		"mem=",
		"mem=abc",
		"mem=-1",
		"mem=0",
		"mem=64M",
		"mem=8388609",
		"mem=17592186044416",
		"mem=18446744073709551616",
		"cpus=0",
		"cpus=9",
		"cpus=4294967297",
		"cpus=x",
		"asi=",
		"domain=x",
		"platform=",
		"platform=isa",
		"name=",
		"name=01234567890123456789012345678901",
		"name=a\"b",
		"name=a/b",
		"name=a\x80",
		"guest-map=",
		"guest-map=some",
		"apic=",
		"apic=x2",
		"control=",
		"control=1",
		"input=",
		"input=none",
		"input=com2",
		"limit=1s",
		"initrd=x",
		"second/path",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		struct vm_options o;
		char why[128], line[128];

		snprintf(line, sizeof(line), "mem=32 %s -- args", words[i]);
		assert_int_equal(vm_options_parse(line, &o, why, sizeof(why)), -EINVAL);
		assert_int_equal(strncmp(why, words[i], strlen(words[i])), 0);
		assert_int_equal(strncmp(why + strlen(words[i]), ": ", 2), 0);
		/* A small buffer cuts the line and is not overrun. */
		assert_int_equal(vm_options_parse(line, &o, why, 4), -EINVAL);
		assert_int_equal(strlen(why), 3);
	}
}

/* The two answers that people will meet read exactly so. */
static void test_guest_problem_text(void **state)
{
	struct vm_options o;
	char why[128];

	(void)state;
	assert_int_equal(vm_options_parse("cpus=9", &o, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "cpus=9: more vCPUs than a VM can have, which are 8");
	assert_int_equal(vm_options_parse("asi=maybe", &o, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "asi=maybe: on, off and strict are known");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hypervisor_words),
		cmocka_unit_test(test_sibling_words),
		cmocka_unit_test(test_mitigate_words),
		cmocka_unit_test(test_idle_words),
		cmocka_unit_test(test_monitor_words),
		cmocka_unit_test(test_hypervisor_problems),
		cmocka_unit_test(test_hypervisor_many_problems),
		cmocka_unit_test(test_guest_words),
		cmocka_unit_test(test_guest_map),
		cmocka_unit_test(test_apicv),
		cmocka_unit_test(test_apic),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_guest_problems),
		cmocka_unit_test(test_guest_problem_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
