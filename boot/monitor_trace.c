/* SPDX-License-Identifier: MIT */
/* The trace while guests run: on, off, and what it has. */
#include "arch/cpus.h"
#include "arch/world.h"
#include "boot/guests.h"
#include "boot/monitor_internal.h"
#include "drivers/console.h"
#include "lib/log.h"
#include "vmm/report.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

/* Memory first, with guests running: what waits for other CPUs must not have stopped them. */
static bool get_memory(void)
{
	for (unsigned int nr = 0; nr < guests_nr(); nr++)
		if (guests_vm(nr) && trace_prepare_vm(guests_vm(nr)))
			return false;
	return true;
}

static void switch_vms(void)
{
	for (unsigned int nr = 0; nr < guests_nr(); nr++)
		if (guests_vm(nr))
			trace_switch_vm(guests_vm(nr));
}

static bool turn_on(void)
{
	bool began = get_memory();

	if (began) {
		world_stop();
		began = trace_begin(cpus_nr()) == 0;
		if (began)
			switch_vms();
		world_resume();
	}
	if (!began)
		log_info("trace: no memory for it");
	return began;
}

static void turn_off(void)
{
	world_stop();
	trace_end();
	switch_vms();
	world_resume();
}

/* To another port: nobody else writes a line meanwhile. */
static bool dump_to(struct word port)
{
	bool diverted;

	world_stop();
	diverted = console_divert(port.start, port.len);
	if (diverted) {
		guests_report_traces();
		console_divert(NULL, 0);
	}
	world_resume();
	if (!diverted)
		log_info("trace: no serial port %.*s, or it is the console's", (int)port.len,
			 port.start);
	return diverted;
}

bool monitor_trace(const char *arguments)
{
	struct word what, port;

	if (parse_word(&arguments, &what)) {
		if (parse_is(what, "on"))
			return turn_on();
		if (parse_is(what, "off")) {
			turn_off();
			return true;
		}
		if (parse_is(what, "dump")) {
			if (parse_word(&arguments, &port))
				return dump_to(port);
			guests_report_traces();
			return true;
		}
	}
	log_info("trace: on, off, dump and dump PORT are known");
	return false;
}
