/* SPDX-License-Identifier: MIT */
/* The hypervisor's own command line: blank-separated key=value words. */
#include <stdarg.h>
#include <stddef.h>
#include "boot/options.h"
#include "lib/compiler.h"
#include "lib/fmt.h"
#include "lib/string.h"

/* Notes a line; when all are taken, the last one says that there was more. */
static __printf(2, 3) void problem(struct options *o, const char *fmt, ...)
{
	va_list ap;

	if (o->nr_problems == OPTIONS_PROBLEMS_MAX) {
		fmt_print(o->problems[OPTIONS_PROBLEMS_MAX - 1], OPTIONS_PROBLEM_LEN,
			  "more options are wrong than are listed here");
		return;
	}
	va_start(ap, fmt);
	fmt_vprint(o->problems[o->nr_problems++], OPTIONS_PROBLEM_LEN, fmt, ap);
	va_end(ap);
}

static void read_switch(struct options *o, const char *key, struct word value, bool *out)
{
	if (parse_is(value, "on"))
		*out = true;
	else if (parse_is(value, "off"))
		*out = false;
	else
		problem(o, "option \"%s=%.*s\" ignored: on and off are known", key, (int)value.len,
			value.start);
}

static void read_asi(struct options *o, struct word value)
{
	o->strict = parse_is(value, "strict");
	if (o->strict)
		o->asi = true;
	else if (parse_is(value, "on") || parse_is(value, "off"))
		o->asi = parse_is(value, "on");
	else
		problem(o, "option \"asi=%.*s\" ignored: on, off and strict are known",
			(int)value.len, value.start);
}

static void read_mitigate(struct options *o, struct word value)
{
	const char *name;

	for (unsigned int mode = 0; (name = mitigate_mode_name(mode)); mode++) {
		if (parse_is(value, name)) {
			o->mitigate = mode;
			return;
		}
	}
	problem(o, "\"mitigate=%.*s\" ignored: none, entry, exit, asi and auto are known",
		(int)value.len, value.start);
}

static void read_idle(struct options *o, struct word value)
{
	if (parse_is(value, "poll") || parse_is(value, "halt"))
		o->idle_poll = parse_is(value, "poll");
	else
		problem(o, "option \"idle=%.*s\" ignored: halt and poll are known", (int)value.len,
			value.start);
}

static void read_monitor(struct options *o, struct word value)
{
	if (parse_is(value, "off"))
		o->monitor = MONITOR_OFF;
	else if (parse_is(value, "on"))
		o->monitor = MONITOR_ON;
	else if (parse_is(value, "poll"))
		o->monitor = MONITOR_POLL;
	else
		problem(o, "option \"monitor=%.*s\" ignored: on, off and poll are known",
			(int)value.len, value.start);
}

static void read_audit(struct options *o, struct word value)
{
	uint64_t ms = 0;

	if (parse_is(value, "on") || parse_is(value, "off") ||
	    (parse_u64(value.start, value.len, &ms) && ms)) {
		o->audit = !parse_is(value, "off");
		o->audit_ms = ms;
		return;
	}
	problem(o, "option \"audit=%.*s\" ignored: on, off and milliseconds are known",
		(int)value.len, value.start);
}

static void read_races(struct options *o, struct word value)
{
	uint64_t rounds = 0;

	if (parse_u64(value.start, value.len, &rounds))
		o->races = rounds;
	else
		problem(o, "option \"races=%.*s\" ignored: a number of rounds is known",
			(int)value.len, value.start);
}

/* The words that are on or off. */
static const struct {
	const char *key;
	size_t field;
} switches[] = {
	{ "pcid", offsetof(struct options, pcid) },
	{ "selftest", offsetof(struct options, selftest) },
	{ "torture", offsetof(struct options, torture) },
	{ "secrets", offsetof(struct options, secrets) },
	{ "trace", offsetof(struct options, trace) },
	{ "detail", offsetof(struct options, detail) },
	{ "bench", offsetof(struct options, bench) },
	{ "stun", offsetof(struct options, stun) },
	{ "smt", offsetof(struct options, smt) },
};

static bool read_any_switch(struct options *o, struct word w)
{
	struct word value;

	for (unsigned int i = 0; i < ARRAY_SIZE(switches); i++) {
		if (!parse_key(w, switches[i].key, &value))
			continue;
		read_switch(o, switches[i].key, value, (bool *)((char *)o + switches[i].field));
		return true;
	}
	return false;
}

static void read_word(struct options *o, struct word w)
{
	struct word value;

	if (read_any_switch(o, w))
		return;
	if (parse_key(w, "asi", &value))
		read_asi(o, value);
	else if (parse_key(w, "audit", &value))
		read_audit(o, value);
	else if (parse_key(w, "races", &value))
		read_races(o, value);
	else if (parse_key(w, "monitor", &value))
		read_monitor(o, value);
	else if (parse_key(w, "idle", &value))
		read_idle(o, value);
	else if (parse_key(w, "mitigate", &value))
		read_mitigate(o, value);
	else if (parse_key(w, "crash", &value))
		o->crash = value;
	else if (parse_key(w, "console", &value))
		o->console = value;
	else
		problem(o, "unknown option \"%.*s\" ignored", (int)w.len, w.start);
}

void options_parse(const char *cmdline, struct options *out)
{
	struct word w;
	bool first = true;

	*out = (struct options){ .asi = true,
				 .pcid = true,
				 .stun = true,
				 .smt = true,
				 .audit = true,
				 .mitigate = MITIGATE_AUTO,
				 .crash = { "", 0 },
				 .console = { "", 0 } };
	for (; parse_word(&cmdline, &w); first = false) {
		if (!first || !parse_is_path(w))
			read_word(out, w);
	}
}
