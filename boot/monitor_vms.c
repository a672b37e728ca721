/* SPDX-License-Identifier: MIT */
/* Commands about guests: which there are, how they begin and end, what each has to report. */
#include "arch/tsc.h"
#include "asi/asi.h"
#include "boot/guests.h"
#include "boot/monitor_internal.h"
#include "lib/log.h"
#include "vmm/abi.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/stats.h"
#include "vmm/vcpu.h"

bool monitor_find_guest(struct word w, unsigned int *nr)
{
	uint64_t number;

	for (*nr = 0; *nr < guests_nr(); ++*nr)
		if (parse_is(w, guests_options(*nr)->name))
			return true;
	if (parse_u64(w.start, w.len, &number) && number < guests_nr()) {
		*nr = (unsigned int)number;
		return true;
	}
	log_info("no guest %.*s; \"vms\" lists them", (int)w.len, w.start);
	return false;
}

struct vm *monitor_find_vm(struct word w, unsigned int *nr)
{
	if (!monitor_find_guest(w, nr))
		return NULL;
	if (!guests_vm(*nr))
		log_info("%s has been destroyed; \"start\" makes it anew",
			 guests_options(*nr)->name);
	return guests_vm(*nr);
}

/* The one that a command must be given. */
static bool take_guest(const char *command, const char *arguments, unsigned int *nr)
{
	struct word w;

	if (!parse_word(&arguments, &w)) {
		log_info("%s: a guest's name or number is missing", command);
		return false;
	}
	return monitor_find_guest(w, nr);
}

struct usage {
	uint64_t exits, restricted, ticks;
};

/* Its vCPUs may count on meanwhile. */
static struct usage usage_of(const struct vm *vm)
{
	struct usage u = { 0 };

	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		const struct vcpu *v = vm->vcpus[id];

		u.ticks += v->guest_ticks;
		for (unsigned int r = 0; r < EXIT_REASON_NR; r++) {
			u.exits += v->stats->exits[r].count;
			u.restricted += v->stats->exits[r].restricted;
		}
	}
	return u;
}

static const char *state_of(const struct vm *vm)
{
	if (!vm)
		return "none";
	return sched_has_ended(vm) ? "ended" : "runs";
}

static void show_vm(unsigned int nr)
{
	const struct vm_options *o = guests_options(nr);
	const struct vm *vm = guests_vm(nr);
	struct usage u = { 0 };

	if (vm)
		u = usage_of(vm);
	log_info("  %2u %-31s %-6s %5u %7lu %12lu %12lu %10lu", nr, o->name, state_of(vm), o->cpus,
		 o->mem_mib, u.exits, u.restricted, u.ticks / tsc_khz());
	log_info("@vm {\"vm\":\"%s\",\"number\":%u,\"state\":\"%s\",\"vcpus\":%u,\"mem_mib\":%lu,"
		 "\"exits\":%lu,\"restricted\":%lu,\"guest_ticks\":%lu}",
		 o->name, nr, state_of(vm), o->cpus, o->mem_mib, u.exits, u.restricted, u.ticks);
}

bool monitor_vms(const char *arguments)
{
	(void)arguments;
	log_info("  %2s %-31s %-6s %5s %7s %12s %12s %10s", "nr", "name", "state", "vCPUs", "MiB",
		 "exits", "restricted", "guest ms");
	for (unsigned int nr = 0; nr < guests_nr(); nr++)
		show_vm(nr);
	return true;
}

bool monitor_start(const char *arguments)
{
	unsigned int nr;
	int err;

	if (!take_guest("start", arguments, &nr))
		return false;
	err = guests_start(nr);
	if (err == HC_EBUSY)
		log_info("%s runs", guests_options(nr)->name);
	else if (err)
		log_info("%s could not be made", guests_options(nr)->name);
	return !err;
}

bool monitor_stop(const char *arguments)
{
	unsigned int nr;
	struct vm *vm;

	if (!take_guest("stop", arguments, &nr))
		return false;
	vm = guests_vm(nr);
	if (!vm || sched_has_ended(vm)) {
		log_info("%s does not run", guests_options(nr)->name);
		return false;
	}
	vm_stop(vm, VERDICT_ENDED, NULL, 0);
	return true;
}

/* The guest that is named, or all: the numbers from @first to @end. */
static bool choose(const char *arguments, unsigned int *first, unsigned int *end)
{
	struct word w;

	if (!parse_word(&arguments, &w)) {
		*first = 0;
		*end = guests_nr();
		return true;
	}
	if (!monitor_find_vm(w, first))
		return false;
	*end = *first + 1;
	return true;
}

bool monitor_exits(const char *arguments)
{
	unsigned int nr, end;

	if (!choose(arguments, &nr, &end))
		return false;
	for (; nr < end; nr++)
		if (guests_vm(nr))
			report_vm_exits(guests_vm(nr));
	return true;
}

bool monitor_surface(const char *arguments)
{
	unsigned int nr, end;

	if (!choose(arguments, &nr, &end))
		return false;
	if (nr == 0 && end == guests_nr())
		guests_report_surfaces();
	for (; nr < end; nr++)
		if (guests_vm(nr))
			report_vm_surface(guests_vm(nr));
	return true;
}
