/* SPDX-License-Identifier: MIT */
/* What vmm/lapic*.c share. */
#pragma once
#include "vmm/lapic.h"

#define APIC_BASE_BSP  (1UL << 8)
#define APIC_BASE_EXTD (1UL << 10) /* x2APIC mode */
#define APIC_BASE_EN   (1UL << 11)

#define SVR_ENABLE  (1U << 8)
#define LVT_MASKED  (1U << 16)
#define VECTOR_MASK 0xffU
#define VECTOR_MIN  16U /* those below are illegal in messages and in the LVT */

#define ESR_SEND_VECTOR	   (1U << 5)
#define ESR_RECEIVE_VECTOR (1U << 6)
#define ESR_REGISTER	   (1U << 7) /* of xAPIC mode: in x2APIC mode it is #GP */

#define ICR_LOGICAL   (1U << 11)
#define ICR_ASSERT    (1U << 14)
#define ICR_SHORTHAND (3U << 18)
#define ICR_SELF      (1U << 18)
#define ICR_ALL	      (2U << 18)
#define ICR_OTHERS    (3U << 18)

static inline bool lapic_is_x2(const struct lapic *l)
{
	return l->base & APIC_BASE_EXTD;
}

/* lapic.c */
/* Registers that senders look at have changed (vmm/post.h). */
void lapic_publish(struct vcpu *v);
void lapic_error(struct vcpu *v, uint32_t bit);
/* The local source of this LVT entry interrupts; fixed delivery. */
void lapic_local(struct vcpu *v, enum lapic_reg lvt);
void lapic_request(struct vcpu *v, uint8_t vector, bool level);

/* lapic_timer.c: registers of the timer, @value has legal bits only. */
void lapic_timer_write(struct vcpu *v, enum lapic_reg reg, uint32_t value);
uint32_t lapic_timer_count(struct vcpu *v);
uint64_t lapic_tsc_deadline(struct vcpu *v);
void lapic_set_tsc_deadline(struct vcpu *v, uint64_t deadline);

/* lapic_ipi.c: a write of ICR, @dest as that mode's register has it. */
void lapic_send(struct vcpu *v, uint32_t icr, uint32_t dest);
