/* SPDX-License-Identifier: MIT */
/* What an address leads to in both address spaces; and the experiment that makes both the same. */
#include "arch/world.h"
#include "asi/asi.h"
#include "asi/crossing.h"
#include "asi/expose.h"
#include "boot/guests.h"
#include "boot/monitor_internal.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/symbol.h"
#include "mm/hostmap.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define ENTRIES_MAX 128

/* The entries that the walk of an address meets: from the root's, at PT_LEVELS - 1, to @last. */
struct entries {
	uint64_t entry[PT_LEVELS];
	unsigned int last;
	struct pt_walk walk;
};

static unsigned int index_of(uint64_t va, unsigned int level)
{
	return (unsigned int)(va / pt_level_size(level) % 512);
}

static struct entries walk_of(const struct ptable *pt, uint64_t va)
{
	struct entries e = { .walk = ptable_walk(pt, va) };

	e.last = e.walk.level;
	for (unsigned int level = e.last; level < PT_LEVELS; level++) {
		const uint64_t *table = hpa_to_direct(ptable_table(pt, va, level));

		e.entry[level] = READ_ONCE(table[index_of(va, level)]);
	}
	return e;
}

static void print_entry(char buf[32], const struct entries *e, unsigned int level)
{
	if (!e || level < e->last)
		fmt_print(buf, 32, "-");
	else if (e->entry[level] & PTE_P)
		fmt_print(buf, 32, "0x%016lx", e->entry[level]);
	else
		fmt_print(buf, 32, "absent");
}

static void print_rights(char buf[32], const struct entries *e)
{
	const struct pt_walk *w = e ? &e->walk : NULL;

	if (!w || !w->present)
		fmt_print(buf, 32, "absent");
	else
		fmt_print(buf, 32, "0x%lx %s%s", w->hpa.v, w->rights & PTE_W ? "rw" : "r",
			  w->rights & PTE_NX ? "" : "x");
}

/* The entries as a JSON list, the root's first; null where there is no such space. */
static void print_list(char buf[ENTRIES_MAX], const struct entries *e)
{
	size_t at = 0;

	if (!e) {
		fmt_print(buf, ENTRIES_MAX, "null");
		return;
	}
	for (unsigned int level = PT_LEVELS; level-- > e->last;)
		at += fmt_print(buf + at, ENTRIES_MAX - at, "%s\"0x%lx\"", at ? "," : "[",
				e->entry[level]);
	fmt_print(buf + at, ENTRIES_MAX - at, "]");
}

static void show(const char *domain, uint64_t va, const struct entries *restricted,
		 const struct entries *full)
{
	static const char *const names[PT_LEVELS] = { "pt", "pd", "pdpt", "pml4" };
	char what[CROSSING_WHAT_MAX], escaped[2 * CROSSING_WHAT_MAX];
	char left[ENTRIES_MAX], right[ENTRIES_MAX];

	asi_describe(va, what, sizeof(what));
	log_info("0x%lx: %s", va, what);
	log_info("  %-6s %-20s %-20s", "", "restricted", "unrestricted");
	for (unsigned int level = PT_LEVELS; level--;) {
		print_entry(left, restricted, level);
		print_entry(right, full, level);
		if (level >= full->last || (restricted && level >= restricted->last))
			log_info("  %-6s %-20s %-20s", names[level], left, right);
	}
	print_rights(left, restricted);
	print_rights(right, full);
	log_info("  %-6s %-20s %-20s", "to", left, right);
	print_list(left, restricted);
	print_list(right, full);
	json_escape(escaped, sizeof(escaped), what);
	log_info("@map {\"domain\":\"%s\",\"address\":\"0x%lx\",\"what\":\"%s\",\"restricted\":%s,"
		 "\"unrestricted\":%s,\"mapped\":%s%s}",
		 domain, va, escaped, left, right,
		 restricted && restricted->walk.present ? "true" : "false", asi_experiment());
}

/* A number, or a symbol's name. */
static bool read_address(struct word w, uint64_t *va)
{
	struct symbol s;

	if (parse_u64(w.start, w.len, va)) {
		if (*va <= BITS(46, 0) || *va >= DIRECTMAP_BASE)
			return true;
		log_info("0x%lx is no address: bits 63 to 47 differ", *va);
		return false;
	}
	if (!symbol_find(w.start, w.len, &s)) {
		log_info("%.*s: neither a number nor a symbol", (int)w.len, w.start);
		return false;
	}
	*va = s.addr;
	return true;
}

/* "VM" or "VM/VCPU". */
static const struct vcpu *find_vcpu(struct word w)
{
	uint64_t id = 0;
	size_t slash = 0;
	unsigned int nr;
	struct vm *vm;

	while (slash < w.len && w.start[slash] != '/')
		slash++;
	vm = monitor_find_vm((struct word){ w.start, slash }, &nr);
	if (!vm)
		return NULL;
	if (slash < w.len &&
	    (!parse_u64(w.start + slash + 1, w.len - slash - 1, &id) || id >= vm->nr_vcpus)) {
		log_info("%s has the vCPUs 0 to %u", vm->options.name, vm->nr_vcpus - 1);
		return NULL;
	}
	return vm->vcpus[id];
}

bool monitor_map(const char *arguments)
{
	struct word domain, address;
	struct entries restricted, full;
	const struct vcpu *v;
	char name[VM_NAME_MAX + 16];
	uint64_t va;

	if (!parse_word(&arguments, &domain) || !parse_word(&arguments, &address)) {
		log_info("map: a guest and an address are missing");
		return false;
	}
	v = find_vcpu(domain);
	if (!v || !read_address(address, &va))
		return false;
	world_stop();
	full = walk_of(hostmap_ptable(), va);
	if (v->asi)
		restricted = walk_of(&v->asi->pt, va);
	fmt_print(name, sizeof(name), "%.*s", (int)domain.len, domain.start);
	show(name, va, v->asi ? &restricted : NULL, &full);
	world_resume();
	return true;
}

static const char *why_not(int err)
{
	switch (err) {
	case -EEXIST:
		return "exposed already";
	case -ENOSPC:
		return "too many experiments";
	case -ENOMEM:
		return "no memory for its tables";
	default:
		return "no sensitive static data, or ASI is off";
	}
}

bool monitor_expose(const char *arguments)
{
	struct symbol s;
	struct word w;
	int err;

	if (!parse_word(&arguments, &w) || !symbol_find(w.start, w.len, &s)) {
		log_info("expose: no such symbol");
		return false;
	}
	world_stop();
	err = asi_expose(s.name, s.addr, s.len);
	world_resume();
	if (err) {
		log_info("%s: %s", s.name, why_not(err));
		return false;
	}
	log_info("%s and all that is in its pages may leak to every guest from here on, until the "
		 "machine ends",
		 s.name);
	report_experiment();
	return true;
}
