/* SPDX-License-Identifier: MIT */
/*
 * A processor other than the boot processor, from its start-up IPI until it is parked. It does what it does
 * alone: the boot processor waits, so what it touches needs no lock.
 */
#pragma once

/* Selectors of boot_gdt (start.S). */
#define BOOT_CODE64 0x08
#define BOOT_DATA   0x10
#define BOOT_CODE32 0x18

/* Offsets in struct ap_start. */
#define AP_START_CR3   0
#define AP_START_STACK 8

#ifndef __ASSEMBLER__
#include <stdint.h>
#include "arch/topology.h"
#include "arch/tscsync.h"
#include "lib/compiler.h"
#include "mm/addr.h"

enum ap_state {
	AP_STARTING,
	AP_CHECKED,  /* initialised, and as the boot processor; answers questions for its TSC */
	AP_ACCEPTED, /* said by the boot processor */
	AP_PARKED,
	AP_REFUSED, /* says why in @why and @what, and waits for INIT */
};

/* What the boot processor and the one that starts tell each other. */
struct ap_start {
	uint64_t cr3, stack; /* of the unrestricted space; the top of the CPU's base stack */
	uint64_t pat;
	void *vmx_region; /* NULL: no VMX */
	uint32_t cpu;	  /* its number */
	uint32_t state;
	const char *why, *what;
	struct topology topology;
	struct tscsync tsc;
};
extern struct ap_start ap_start;

/*
 * Puts the first instructions into a page below 1 MiB, where a start-up IPI leads. No space maps them to be
 * executed: in real mode nothing is mapped, and then the tables of start.S are in use.
 */
void ap_trampoline_install(hpa_t page);
/* Takes them away again, with those tables, which map all below 4 GiB writable and executable. */
void ap_trampoline_remove(hpa_t page);

/* Times that a parked CPU has halted: one more than it was woken by interrupts, NMIs and machine checks. */
uint64_t ap_halts(uint32_t cpu);

enum ap_work {
	AP_SELFTEST, /* selftest_cpus_work() */
	AP_RACES,    /* races_work() */
	AP_GUESTS,   /* sched_run() */
};

/*
 * Does @what on this CPU, the boot processor, and on those of @cpus, parked until then and afterwards: on their base
 * stacks, unrestricted, interrupts off. Returns when all have. Interrupts off, one call at a time.
 */
void ap_do_everywhere(enum ap_work what, uint64_t cpus);
#endif
