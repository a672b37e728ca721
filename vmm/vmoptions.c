/* SPDX-License-Identifier: MIT */
/*
 * A guest's options. Unlike the hypervisor's, a wrong word stops the guest: one that runs
 * with less memory or another policy than asked for would give wrong results.
 */
#include "arch/layout.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/parse.h"
#include "lib/string.h"
#include "vmm/acpi.h"
#include "vmm/vmoptions.h"

#define MEM_MIB_MAX (PHYS_LIMIT >> 20)
_Static_assert(APIC_MEM_MIB_MAX == ACPI_PCI_BASE >> 20, "vmm/vmoptions.h");

/* Where the complaint goes. */
struct why {
	char *buf;
	size_t size;
};

static int wrong(struct why *why, struct word w, const char *text)
{
	fmt_print(why->buf, why->size, "%.*s: %s", (int)w.len, w.start, text);
	return -EINVAL;
}

static int read_name(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	if (value.len == 0)
		return wrong(why, w, "the name is empty");
	if (value.len >= VM_NAME_MAX)
		return wrong(why, w, "the name is longer than 31 characters");
	for (size_t i = 0; i < value.len; i++) {
		char c = value.start[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return wrong(why, w, "a name has letters, digits, '.', '_' and '-' only");
	}
	memcpy(out->name, value.start, value.len);
	out->name[value.len] = '\0';
	return 0;
}

static int read_mem(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	uint64_t mib;

	if (!parse_u64(value.start, value.len, &mib))
		return wrong(why, w, "not a number of MiB");
	if (mib < 1)
		return wrong(why, w, "at least 1 MiB is needed");
	if (mib > MEM_MIB_MAX)
		return wrong(why, w, "more MiB than any machine has");
	out->mem_mib = mib;
	return 0;
}

static int read_cpus(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	uint64_t n;

	if (!parse_u64(value.start, value.len, &n) || n == 0)
		return wrong(why, w, "not a number of vCPUs");
	if (n > VCPUS_MAX)
		return wrong(why, w, "more vCPUs than a VM can have, which are 8");
	out->cpus = (uint32_t)n;
	return 0;
}

static int read_asi(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	static const struct {
		const char *word;
		enum vm_asi asi;
	} words[] = { { "on", VM_ASI_ON }, { "off", VM_ASI_OFF }, { "strict", VM_ASI_STRICT } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (parse_is(value, words[i].word)) {
			out->asi = words[i].asi;
			return 0;
		}
	}
	return wrong(why, w, "on, off and strict are known");
}

static int read_domain(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	if (!parse_is(value, "vm") && !parse_is(value, "vcpu"))
		return wrong(why, w, "vm and vcpu are known");
	out->domain = parse_is(value, "vcpu") ? VM_DOMAIN_VCPU : VM_DOMAIN_VM;
	return 0;
}

static int read_guest_map(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	if (!parse_is(value, "all") && !parse_is(value, "none"))
		return wrong(why, w, "all and none are known");
	out->guest_map = parse_is(value, "none") ? GUEST_MAP_NONE : GUEST_MAP_ALL;
	return 0;
}

static int read_switch(struct why *why, struct word w, struct word value, bool *out)
{
	if (!parse_is(value, "on") && !parse_is(value, "off"))
		return wrong(why, w, "on and off are known");
	*out = parse_is(value, "on");
	return 0;
}

static int read_apicv(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	static const struct {
		const char *word;
		enum vm_apicv apicv;
	} words[] = { { "auto", VM_APICV_AUTO }, { "on", VM_APICV_ON }, { "off", VM_APICV_OFF } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (parse_is(value, words[i].word)) {
			out->apicv = words[i].apicv;
			return 0;
		}
	}
	return wrong(why, w, "auto, on and off are known");
}

static int read_platform(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	static const struct {
		const char *word;
		enum vm_platform platform;
	} words[] = { { "none", VM_PLATFORM_NONE },
		      { "pic", VM_PLATFORM_PIC },
		      { "apic", VM_PLATFORM_APIC } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (parse_is(value, words[i].word)) {
			out->platform = words[i].platform;
			return 0;
		}
	}
	return wrong(why, w, "none, pic and apic are known");
}

static int read_input(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	if (!parse_is(value, "com1") && !parse_is(value, "virtio"))
		return wrong(why, w, "com1 and virtio are known");
	out->input = parse_is(value, "virtio") ? VM_INPUT_VIRTIO : VM_INPUT_COM1;
	return 0;
}

static int read_limit(struct why *why, struct word w, struct word value, struct vm_options *out)
{
	if (!parse_u64(value.start, value.len, &out->limit_ms))
		return wrong(why, w, "not a number of milliseconds");
	return 0;
}

static int read_word(struct why *why, struct word w, struct vm_options *out)
{
	struct word value;

	if (parse_key(w, "name", &value))
		return read_name(why, w, value, out);
	if (parse_key(w, "mem", &value))
		return read_mem(why, w, value, out);
	if (parse_key(w, "cpus", &value))
		return read_cpus(why, w, value, out);
	if (parse_key(w, "asi", &value))
		return read_asi(why, w, value, out);
	if (parse_key(w, "domain", &value))
		return read_domain(why, w, value, out);
	if (parse_key(w, "guest-map", &value))
		return read_guest_map(why, w, value, out);
	if (parse_key(w, "apic", &value)) {
		out->apic_given = true;
		return read_switch(why, w, value, &out->apic);
	}
	if (parse_key(w, "apicv", &value))
		return read_apicv(why, w, value, out);
	if (parse_key(w, "control", &value))
		return read_switch(why, w, value, &out->control);
	if (parse_key(w, "platform", &value))
		return read_platform(why, w, value, out);
	if (parse_key(w, "input", &value))
		return read_input(why, w, value, out);
	if (parse_key(w, "limit", &value))
		return read_limit(why, w, value, out);
	return wrong(why, w, "unknown word (the guest's own arguments stand behind \"--\")");
}

/*
 * Without local APICs, vCPUs could not start each other, and an I/O APIC reach none. With them, RAM would lie over the
 * registers and what may lie below these.
 */
static int check_apic(struct why *why, struct vm_options *o)
{
	if ((o->cpus > 1 || o->platform == VM_PLATFORM_APIC) && !o->apic_given)
		o->apic = true;
	if (o->cpus > 1 && !o->apic) {
		fmt_print(why->buf, why->size, "apic=off: only the first of %u vCPUs could run",
			  o->cpus);
		return -EINVAL;
	}
	if (o->platform == VM_PLATFORM_APIC && !o->apic) {
		fmt_print(why->buf, why->size, "apic=off: platform=apic needs local APICs");
		return -EINVAL;
	}
	if (!o->apic || o->mem_mib <= APIC_MEM_MIB_MAX)
		return 0;
	fmt_print(why->buf, why->size, "apic=on: mem= is at most %u then", APIC_MEM_MIB_MAX);
	return -EINVAL;
}

int vm_options_parse(const char *cmdline, struct vm_options *out, char *why_buf, size_t why_size)
{
	struct why why = { why_buf, why_size };
	struct word w;
	bool first = true;
	int r;

	*out = (struct vm_options){
		.cpus = 1,
		.args = "",
		.guest_map = GUEST_MAP_ALL,
		.input = VM_INPUT_COM1,
	};
	for (; parse_word(&cmdline, &w); first = false) {
		if (parse_is(w, "--")) {
			out->args = cmdline + (*cmdline == ' ');
			break;
		}
		if (first && parse_is_path(w))
			continue;
		r = read_word(&why, w, out);
		if (r)
			return r;
	}
	return check_apic(&why, out);
}
