/* SPDX-License-Identifier: MIT */
/*
 * The first process. Its arguments, on the kernel's command line behind "--":
 *
 *   guest=WORD,...         the guest's arguments; populated=MIB and large=MIB among them say how its RAM is made
 *   ram=MIB                how much there is
 *   run=NAME[:PARAMETERS]  loads kvm-intel with these and runs the guest; may be repeated
 *
 * Other words are the kernel's, which it does not know itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peer.h"

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities/"

static void mount_at(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		die_errno("mounting %s", where);
}

static void describe(const char *name)
{
	static const char *const files[] = { "l1tf", "mds", "spectre_v2", "retbleed",
					     "itlb_multihit" };

	say("[%s] kvm-intel vmentry_l1d_flush: %s", name,
	    line_of("/sys/module/kvm_intel/parameters/vmentry_l1d_flush"));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), VULNERABILITIES "%s", files[i]);
		say("[%s] %s: %s", name, files[i], line_of(path));
	}
}

static size_t mib(const char *words, const char *key)
{
	const char *found = strstr(words, key);

	if (!found)
		die("no %s in \"%s\"", key, words);
	return strtoul(found + strlen(key), NULL, 10) << 20;
}

static void run_setting(char *setting, const char *words, size_t size)
{
	struct ram ram = { .size = size,
			   .populated = mib(words, "populated="),
			   .large = mib(words, "large=") };
	char *parameters = strchr(setting, ':');
	int verdict;

	if (ram.populated >= ram.large || ram.large >= size)
		die("populated, large and ram=, in this order");
	if (parameters)
		*parameters++ = 0;
	module_load("/kvm-intel.ko", parameters ? parameters : "");
	describe(setting);
	verdict = vm_run(setting, "/exits.elf", words, &ram);
	say("peer: %s: verdict %d", setting, verdict);
	module_unload("kvm_intel");
}

static bool is_word(const char *word, const char *key, char **value)
{
	size_t length = strlen(key);

	*value = (char *)word + length;
	return !strncmp(word, key, length);
}

int main(int argc, char **argv)
{
	char *words = "", *value;
	size_t size = 0;

	mkdir("/dev", 0755);
	console_open();
	mount_at("devtmpfs", "/dev");
	mount_at("sysfs", "/sys");
	say("peer: init");
	module_load("/irqbypass.ko", "");
	module_load("/kvm.ko", "");
	for (int i = 1; i < argc; i++) {
		if (is_word(argv[i], "guest=", &value)) {
			words = value;
			for (char *c = words; *c; c++)
				*c = *c == ',' ? ' ' : *c;
		} else if (is_word(argv[i], "ram=", &value)) {
			size = strtoul(value, NULL, 10) << 20;
		} else if (is_word(argv[i], "run=", &value)) {
			run_setting(value, words, size);
		}
	}
	say("peer: end");
	machine_off();
}
