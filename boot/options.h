/* SPDX-License-Identifier: MIT */
/* The hypervisor's own command line. Pure functions. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "asi/mitigate.h"
#include "lib/parse.h"

#define OPTIONS_PROBLEMS_MAX 8
#define OPTIONS_PROBLEM_LEN  96

enum monitor_mode { MONITOR_OFF, MONITOR_ON, MONITOR_POLL };

struct options {
	bool asi;    /* asi=on|off|strict, default on */
	bool strict; /* asi=strict: guests are strict if they do not say otherwise */
	bool pcid;   /* pcid=on|off, default on */
	bool stun; /* stun=on|off, default on: siblings of a core are kept out of guests (asi/stun.h) */
	bool smt;	   /* smt=on|off, default on; off: one thread of each core runs guests */
	bool selftest;	   /* selftest=on|off, default off */
	bool torture;	   /* torture=on|off, default off */
	uint64_t races;	   /* races=N, default 0: rounds of boot/races.h */
	bool audit;	   /* audit=off|on|MS, default on; MS implies on */
	uint64_t audit_ms; /* period of audits while guests run; 0: only before and after */
	bool secrets;	   /* secrets=on|off, default off */
	bool trace;	   /* trace=on|off, default off: the trace (arch/trace.h) */
	bool detail;	   /* detail=on|off, default off: report_details() */
	bool idle_poll;	   /* idle=halt|poll, default halt */
	bool bench;	   /* bench=on|off, default off: boot/measure.h */
	enum monitor_mode monitor;   /* monitor=off|on|poll, default off */
	enum mitigate_mode mitigate; /* mitigate=none|entry|exit|asi|auto, default auto */
	struct word crash;	     /* crash=KIND, for crash(); len 0: not given */
	struct word console;	     /* console=..., for console_select(); len 0: not given */

	/* What was wrong, one line each, in the order of the words. */
	char problems[OPTIONS_PROBLEMS_MAX][OPTIONS_PROBLEM_LEN];
	uint32_t nr_problems;
};

/*
 * Reads @cmdline, which must outlive @out. A word that is wrong leaves the default and
 * a line in problems[]; the caller logs the lines and goes on. Of a word given twice the
 * last one counts.
 */
void options_parse(const char *cmdline, struct options *out);
