/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: on, so that CPUs can interrupt each other; every local source masked but the timer, which wakes
 * a CPU that waits. The 8259s are masked too. One device interrupts us, with monitor=on: the console's port. Guests are
 * bounded by the VMX timer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define APIC_VECTOR_KICK     0xf0 /* arch/cpus.h */
#define APIC_VECTOR_TIMER    0xf1
#define APIC_VECTOR_CONSOLE  0xf2 /* apic_console_input() */
#define APIC_VECTOR_SPURIOUS 0xff

/*
 * What the machine has once, and the boot processor's own: @registers is the mapped xAPIC page, at the same
 * place on every CPU, and not used where CPUs have an x2APIC.
 */
void apic_init(volatile uint32_t *registers);
/* The same for another CPU's own. */
void apic_init_cpu(void);
/* This CPU's APIC id, and whether another one can be sent to: an xAPIC's ids have 8 bits. */
uint32_t apic_id(void);
bool apic_reaches(uint32_t id);

/* To the CPU with APIC id @id, perhaps this one. */
void apic_send_interrupt(uint32_t id, uint8_t vector);
void apic_send_nmi(uint32_t id);
/* INIT; and the start-up IPI, by which a CPU that waits behind INIT starts in real mode at @page << 12. */
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);

/*
 * Interrupts this CPU when the TSC reaches @tsc, at once if it has; 0: not any more. Nothing is done by
 * that interrupt but to end HLT. False if the CPU has no such timer.
 */
bool apic_timer_set(uint64_t tsc);

/* Called for vectors 32 to 255: ends the interrupt. Counted; always true, since a stray one is harmless. */
bool apic_interrupt(uint8_t vector);
/* REQUIRED of vmm/schedule.c: something has been typed. In the interrupt's handler, in any space, on whatever stack. */
void apic_console_input(void);
/* Those that @cpu has had. */
uint64_t apic_interrupts_of(uint32_t cpu);
