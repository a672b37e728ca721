/* SPDX-License-Identifier: MIT */
/*
 * What vCPUs of a VM tell each other, and what they have to know of each other for it. In struct vm, LOCAL memory of
 * the whole VM: with domain=vcpu the rest of another vCPU is not mapped. Each vCPU's own state has one
 * writer, the CPU that runs it; others put bits into its post and make that CPU look.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

/* In @pending, apart from the interrupts. */
#define POST_IRQ  1u /* there are bits in irr */
#define POST_NMI  2u
#define POST_INIT 4u
#define POST_SIPI 8u
#define POST_PLATFORM \
	16u /* the PIC interrupts, or a timer of the platform's has another deadline */

struct vcpu_post {
	uint32_t pending; /* POST_*, atomic */
	uint32_t cpu;	  /* CPU that runs it, or that is to look after it */
	bool running; /* it is in use there, or that CPU will look into the post before it rests */
	uint8_t sipi; /* vector of the start-up IPI */
	uint64_t irr[4];   /* interrupts requested, atomic */
	uint64_t level[4]; /* vectors that were level-triggered when they came last, atomic */
	/* Of its local APIC, for senders: as vmm/lapic.h has them. Written by its own vCPU. */
	uint64_t apic_base;
	uint32_t apic_id, ldr, dfr, svr;
};

/* For any vCPU of @vm, perhaps the caller's own. Restricted; interrupts off. */
void post_irq(struct vm *vm, uint32_t id, uint8_t vector, bool level);
void post_nmi(struct vm *vm, uint32_t id);
void post_init(struct vm *vm, uint32_t id);
void post_sipi(struct vm *vm, uint32_t id, uint8_t vector);

void post_platform(struct vm *vm, uint32_t id);

/* Makes the CPU of vCPU @id look at it: there is mail, or the VM has been stopped. */
void post_look(struct vm *vm, uint32_t id);

/* Whether there is mail for vCPU @id; for any of @vm's. */
bool post_is_pending(const struct vm *vm, uint32_t id);
bool post_any_pending(const struct vm *vm);

/* Acts on the mail of @v, which is loaded; its state may change (INIT, SIPI). */
void post_collect(struct vcpu *v);
