/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: on, so that NMIs and self-interrupts work; every local source masked. The
 * 8259s are masked too. No device interrupts us: guests are bounded by the VMX timer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define APIC_VECTOR_SPURIOUS 0xff

/* @registers: the mapped xAPIC page; not used where the CPU has an x2APIC. */
void apic_init(volatile uint32_t *registers);
/* Sends this CPU an interrupt, or an NMI. */
void apic_self_interrupt(uint8_t vector);
void apic_self_nmi(void);
/* Called for vectors 32 to 255: ends the interrupt. Counted; always true, since a stray one is harmless. */
bool apic_interrupt(uint8_t vector);
uint64_t apic_interrupts(void);
