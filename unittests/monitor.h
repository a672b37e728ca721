/* SPDX-License-Identifier: MIT */
/* What stands around boot/monitor.c: three guests, input, and commands of other files, which note what they are given. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/guests.h"
#include "boot/measure.h"
#include "boot/monitor_internal.h"
#include "drivers/console.h"
#include "lib/log.h"
#include "unittests/fake/world.h"
#include "unittests/seed.h"
#include "vmm/audit.h"
#include "vmm/monitor.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/vcpu.h"

#define GUESTS 3

static struct vm vms[GUESTS];
static struct vm *there[GUESTS];
static struct vm_options options[GUESTS] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
static char got[GUESTS][4096]; /* what each guest has been typed */
static size_t got_room;	       /* that a guest has for more */
static bool attached[GUESTS];

static bool held, busy; /* by the monitor; by others */
static unsigned int asked, nr_stops, nr_ends;
static uint64_t found; /* violations by the next audit */

static char printed[65536];
static char did[4096]; /* commands of other files, with what they were given */
static uint8_t keys[8192];
static size_t nr_keys, at_key;
static bool lost;

/* ---- what stands around it ---- */

void console_write(const char *text, size_t len)
{
	strncat(printed, text, len);
}

bool console_has_input(void)
{
	return at_key < nr_keys;
}

bool console_get(uint8_t *byte)
{
	if (!console_has_input())
		return false;
	*byte = keys[at_key++];
	return true;
}

unsigned int console_lost(void)
{
	bool was = lost;

	lost = false;
	return was;
}

void console_listen(void)
{
}

void console_listen_while(bool writing)
{
	(void)writing;
}

bool guests_hold(void)
{
	assert_false(held);
	held = !busy;
	return held;
}

void guests_release(void)
{
	assert_true(held && !world_stands);
	held = false;
}

unsigned int guests_nr(void)
{
	assert_true(held);
	return GUESTS;
}

struct vm *guests_vm(unsigned int nr)
{
	assert_true(held && nr < GUESTS);
	return there[nr];
}

const struct vm_options *guests_options(unsigned int nr)
{
	assert_true(nr < GUESTS);
	return &options[nr];
}

bool sched_has_ended(const struct vm *vm)
{
	return vm->has_ended;
}

void sched_ask(uint32_t cpu)
{
	assert_int_equal(cpu, 0);
	asked++;
}

void sched_monitor_begin(bool polls)
{
	assert_true(polls); /* nobody has said that input interrupts */
}

void sched_monitor_end(void)
{
	nr_ends++;
}

bool com1_receive(struct vm *vm, uint8_t byte)
{
	char *text = got[vm - vms];

	assert_true(fake_locks_held() == 1);
	if (strlen(text) == got_room)
		return false;
	text[strlen(text)] = (char)byte;
	return true;
}

void com1_attach(struct vm *vm, bool on)
{
	assert_true(fake_locks_held() == 1);
	attached[vm - vms] = on;
}

void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code)
{
	(void)vm;
	assert_true(verdict == VERDICT_ENDED && !reason && !code);
	nr_stops++;
}

void vm_stop_all(const char *reason)
{
	assert_string_equal(reason, "audit");
	assert_true(world_stands);
	nr_stops += 100;
}

uint64_t audit_report(const char *when)
{
	assert_string_equal(when, "monitor");
	assert_true(world_stands);
	return found;
}

void vcpu_put(void)
{
}

bool measure_run(void)
{
	strcat(did, "bench;");
	return true;
}

void report_experiment(void)
{
}

void report_crossings(void)
{
	strcat(did, "crossings;");
}

void guests_report_memory(void)
{
	strcat(did, "mem;");
}

void guests_report_cpus(void)
{
	strcat(did, "asi;");
}

#define OTHER_FILES_COMMAND(name)              \
	bool monitor_##name(const char *given) \
	{                                      \
		strcat(did, #name ":");        \
		strcat(did, given);            \
		strcat(did, ";");              \
		return strcmp(given, "no");    \
	}
OTHER_FILES_COMMAND(vms)
OTHER_FILES_COMMAND(start)
OTHER_FILES_COMMAND(stop)
OTHER_FILES_COMMAND(exits)
OTHER_FILES_COMMAND(surface)
OTHER_FILES_COMMAND(trace)
OTHER_FILES_COMMAND(map)
OTHER_FILES_COMMAND(expose)

bool monitor_find_guest(struct word w, unsigned int *nr)
{
	*nr = (unsigned int)(w.start[0] - 'a');
	return w.len == 1 && *nr < GUESTS;
}

struct vm *monitor_find_vm(struct word w, unsigned int *nr)
{
	return monitor_find_guest(w, nr) ? there[*nr] : NULL;
}
