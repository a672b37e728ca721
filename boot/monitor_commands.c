/* SPDX-License-Identifier: MIT */
/* The monitor's commands: their table, and those of a few lines. */
#include "boot/monitor_internal.h"
#include "arch/world.h"
#include "boot/guests.h"
#include "boot/measure.h"
#include "drivers/console.h"
#include "lib/compiler.h"
#include "lib/log.h"
#include "vmm/audit.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/vcpu.h"

static bool help(const char *arguments);

static bool asi(const char *arguments)
{
	(void)arguments;
	guests_report_cpus();
	return true;
}

static bool crossings(const char *arguments)
{
	(void)arguments;
	report_crossings();
	return true;
}

static bool mem(const char *arguments)
{
	(void)arguments;
	guests_report_memory();
	return true;
}

/* All at once: guests stand still for as long as that takes. */
static bool audit(const char *arguments)
{
	uint64_t violations;

	(void)arguments;
	world_stop();
	violations = audit_report("monitor");
	if (violations)
		vm_stop_all("audit");
	world_resume();
	monitor_note_violations(violations);
	log_info("audit: %lu violations%s", violations, violations ? ": no guest goes on" : "");
	return true;
}

/* In a domain of its own, as before guests run: here no guest's registers are in the CPU either. */
static bool bench(const char *arguments)
{
	bool measured;

	(void)arguments;
	vcpu_put();
	measured = measure_run();
	if (!measured)
		log_info("bench: nothing is measured without ASI, or without memory");
	return measured;
}

static bool input(const char *arguments)
{
	unsigned int nr;
	struct word w;
	struct vm *vm;

	if (!parse_word(&arguments, &w)) {
		log_info("input: a guest's name or number is missing");
		return false;
	}
	vm = monitor_find_vm(w, &nr);
	if (!vm)
		return false;
	if (sched_has_ended(vm)) {
		log_info("%s has ended", vm->options.name);
		return false;
	}
	log_info("input goes to %s; Ctrl-] goes back", vm->options.name);
	monitor_type_to(nr);
	return true;
}

/* Those that run are ended; then all is reported as at any end. */
static bool quit(const char *arguments)
{
	(void)arguments;
	for (unsigned int nr = 0; nr < guests_nr(); nr++)
		if (guests_vm(nr))
			vm_stop(guests_vm(nr), VERDICT_ENDED, NULL, 0);
	monitor_quit();
	return true;
}

static const struct command {
	const char *name, *arguments, *help;
	bool (*run)(const char *arguments);
	bool takes_none;
} commands[] = {
	{ "help", "", "this list", help, true },
	{ "vms", "", "guests: number, name, state, and what they have used", monitor_vms, true },
	{ "start", "VM", "makes a guest that has ended anew, and runs it", monitor_start, false },
	{ "stop", "VM", "ends a guest", monitor_stop, false },
	{ "input", "VM", "what is typed goes to a guest, until Ctrl-]", input, false },
	{ "exits", "[VM]", "VM exits by reason, so far", monitor_exits, false },
	{ "asi", "", "counters of each CPU: enters, crossings, flushes, turns", asi, true },
	{ "crossings", "", "places that left the restricted space", crossings, true },
	{ "surface", "[VM]", "what restricted spaces map, in bytes", monitor_surface, false },
	{ "mem", "", "memory by class and by guest", mem, true },
	{ "audit", "", "walks all address spaces while guests stand still", audit, true },
	{ "trace", "on|off|dump [PORT]", "notes events; prints the last ones, perhaps to com2",
	  monitor_trace, false },
	{ "map", "VM[/VCPU] ADDRESS", "both walks of an address (or symbol), side by side",
	  monitor_map, false },
	{ "expose", "SYMBOL", "maps sensitive static data everywhere: an experiment",
	  monitor_expose, false },
	{ "bench", "", "measures the switch between address spaces", bench, true },
	{ "quit", "", "ends all guests and the machine, with the usual reports", quit, true },
};

static bool help(const char *arguments)
{
	(void)arguments;
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++)
		log_info("  %-9s %-19s %s", commands[i].name, commands[i].arguments,
			 commands[i].help);
	log_info("VM is a guest's name or its number in \"vms\". Ctrl-] types to the guest typed "
		 "to last, and goes back.");
	return true;
}

/* A second word for a command that takes none is a mistake in the first. */
static bool has_too_many(const struct command *c, const char *arguments)
{
	struct word w;

	if (!c->takes_none || !parse_word(&arguments, &w))
		return false;
	log_info("%s takes no arguments", c->name);
	return true;
}

enum monitor_result monitor_command(const char *line)
{
	struct word w;

	if (!parse_word(&line, &w))
		return DONE;
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (!parse_is(w, c->name))
			continue;
		return !has_too_many(c, line) && c->run(line) ? DONE : REFUSED;
	}
	log_info("%.*s: no such command; \"help\" lists them", (int)w.len, w.start);
	return UNKNOWN;
}
