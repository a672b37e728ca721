/* SPDX-License-Identifier: MIT */
/*
 * The terminal of the monitor: whose the input is, the line that is being typed, and the @monitor record behind each command.
 * Lines of guests and reports come in between: the row that is being typed is then drawn again with the next key.
 */
#include "boot/monitor_internal.h"
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "boot/guests.h"
#include "drivers/console.h"
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/lineedit.h"
#include "lib/log.h"
#include "vmm/monitor.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/vm.h"

#define SWITCH_KEY 0x1d /* Ctrl-] */
#define NOBODY	   (~0U)

static const char *const results[] = {
	[DONE] = "done", [REFUSED] = "refused", [UNKNOWN] = "unknown"
};

static bool interrupts;
static bool quits;
static struct line_editor editor;
static unsigned int typing_to = NOBODY, typed_last = NOBODY; /* guests' numbers */
static bool said_full, said_ended;
static uint64_t violations;

void monitor_input_interrupts(void)
{
	interrupts = true;
}

void monitor_note_violations(uint64_t nr)
{
	violations += nr;
}

uint64_t monitor_violations(void)
{
	return violations;
}

/* ---- the row at the bottom ---- */

static void show(const char *bytes, size_t len)
{
	console_put(ROW_OF_MONITOR, "", bytes, len);
}

static void show_line(void)
{
	line_show(&editor);
	show(editor.show, editor.show_len);
}

/* A new line, shown unless input is a guest's. */
static void begin_line(void)
{
	line_next(&editor);
	if (typing_to == NOBODY)
		show(editor.show, editor.show_len);
}

/* Programs wait for it: the command is done, and input is whose it says. */
static void record(const char *command, enum monitor_result result)
{
	char text[2 * LINE_LEN + 1], input[VM_NAME_MAX + 2] = "null";

	json_escape(text, sizeof(text), command);
	if (typing_to != NOBODY)
		fmt_print(input, sizeof(input), "\"%s\"", guests_options(typing_to)->name);
	log_info("@monitor {\"command\":\"%s\",\"result\":\"%s\",\"input\":%s}", text,
		 results[result], input);
}

/* ---- input for guests ---- */

/* Its text is shown as it comes while one types to it, and else line by line. */
static void attach(unsigned int nr, bool on)
{
	struct vm *vm = guests_vm(nr);
	uint64_t flags;

	if (!vm)
		return;
	flags = spin_lock(&vm->lock);
	com1_attach(vm, on);
	spin_unlock(&vm->lock, flags);
}

void monitor_type_to(unsigned int nr)
{
	typing_to = typed_last = nr;
	said_full = said_ended = false;
	attach(nr, true);
}

static void type_to_nobody(void)
{
	attach(typing_to, false);
	typing_to = NOBODY;
}

/* The first guest that runs, for a key that says no name. */
static unsigned int any_guest(void)
{
	for (unsigned int nr = 0; nr < guests_nr(); nr++)
		if (guests_vm(nr) && !sched_has_ended(guests_vm(nr)))
			return nr;
	return NOBODY;
}

static void switch_input(void)
{
	unsigned int nr = typed_last != NOBODY ? typed_last : any_guest();

	if (typing_to != NOBODY) {
		type_to_nobody();
		record("^]", DONE);
		show_line();
	} else if (nr == NOBODY) {
		log_info("no guest runs that one could type to");
		record("^]", REFUSED);
		show_line();
	} else {
		monitor_type_to(nr);
		record("^]", DONE);
	}
}

/* What is typed to one that is gone is nobody else's: it may be a password. */
static void type(uint8_t byte)
{
	struct vm *vm = guests_vm(typing_to);
	uint64_t flags;
	bool taken;

	if (!vm || sched_has_ended(vm)) {
		if (!said_ended)
			log_info("%s has ended: what is typed to it is lost; Ctrl-] goes back",
				 guests_options(typing_to)->name);
		said_ended = true;
		return;
	}
	flags = spin_lock(&vm->lock);
	taken = typed_receive(vm, byte);
	spin_unlock(&vm->lock, flags);
	if (!taken && !said_full)
		log_info("%s does not read: %u bytes wait, and what is typed now is lost",
			 vm->options.name, (unsigned int)TYPED_MAX);
	said_full = !taken;
}

/* ---- input for the monitor ---- */

static void run_line(void)
{
	enum monitor_result result;

	console_listen_while(true);
	report_experiment();
	result = monitor_command(editor.text);
	record(editor.text, result);
	console_listen_while(false);
	if (!quits)
		begin_line();
}

/* Whether a command has been done: then others have their turn before the next. */
static bool take_key(uint8_t key)
{
	enum line_state state = line_key(&editor, key);

	if (console_row_is(ROW_OF_MONITOR)) {
		show(editor.show, editor.show_len);
	} else {
		show_line();
		if (state == LINE_COMPLETE)
			show("\r\n", 2);
	}
	if (state == LINE_COMPLETE)
		run_line();
	return state == LINE_COMPLETE;
}

static bool take(uint8_t byte)
{
	if (byte == SWITCH_KEY) {
		switch_input();
		return true;
	}
	if (typing_to == NOBODY)
		return take_key(byte);
	type(byte);
	return false;
}

void monitor_turn(void)
{
	uint8_t byte;

	if (!console_has_input())
		return;
	if (guests_hold()) {
		while (!quits && console_get(&byte))
			if (take(byte))
				break;
		if (console_lost())
			log_error("monitor: input was lost: it came faster than it could be taken");
		guests_release();
	}
	if (!quits && console_has_input())
		sched_ask(this_cpu(
			cpu_number)); /* this CPU does not rest until it has been here again */
}

void monitor_quit(void)
{
	quits = true;
	sched_monitor_end();
}

void monitor_begin(void)
{
	line_init(&editor, "vestibule> ");
	console_listen();
	sched_monitor_begin(!interrupts);
	log_info("monitor: \"help\" lists the commands; Ctrl-] types to a guest, and goes back");
	record("", DONE);
	begin_line();
}
