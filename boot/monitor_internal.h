/* SPDX-License-Identifier: MIT */
/* What the files of the monitor share. All of it is called with guests held (boot/guests.h). */
#pragma once
#include "boot/monitor.h"
#include "lib/parse.h"

/* How a command went: a word of the @monitor record. */
enum monitor_result { DONE, REFUSED, UNKNOWN };

/* monitor_commands.c: does what @line says. */
enum monitor_result monitor_command(const char *line);

/* monitor.c: input goes to guest @nr from here on. */
void monitor_type_to(unsigned int nr);
/* No further commands, and the machine ends with its last VM. */
void monitor_quit(void);
/* An audit of the monitor's has found so many violations. */
void monitor_note_violations(uint64_t nr);

/* monitor_vms.c: the number of the guest that @w names, by name or number; says so and returns false if there is none. */
bool monitor_find_guest(struct word w, unsigned int *nr);
/* Of one that has a VM now. */
struct vm;
struct vm *monitor_find_vm(struct word w, unsigned int *nr);

/*
 * The commands. @arguments: what follows the command's word. One that cannot do what it is told says why, in a line, and
 * returns false.
 */
bool monitor_vms(const char *arguments);
bool monitor_start(const char *arguments);
bool monitor_stop(const char *arguments);
bool monitor_exits(const char *arguments);
bool monitor_surface(const char *arguments);
bool monitor_trace(const char *arguments); /* monitor_trace.c */
bool monitor_map(const char *arguments);   /* monitor_map.c */
bool monitor_expose(const char *arguments);
