/* SPDX-License-Identifier: MIT */
/*
 * The SDM's rules about events, as pure functions: which exceptions combine into a double
 * fault, push an error code or set RF, and what must hold for NMIs and interrupts.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/bitops.h"

/* SDM, "Interrupt 8: Double Fault Exception", table of interrupt and exception classes. */
enum event_class { EVENT_BENIGN, EVENT_CONTRIBUTORY, EVENT_PAGE_FAULT, EVENT_DOUBLE_FAULT };

/* What becomes of an exception raised while another event was being delivered. */
enum event_outcome { OUTCOME_SERIAL, OUTCOME_DOUBLE_FAULT, OUTCOME_TRIPLE_FAULT };

static inline bool vector_in(uint32_t vector, uint32_t set)
{
	return vector < 32 && (set >> vector & 1);
}

#define VECTORS_CONTRIBUTORY \
	(1u << VEC_DE | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_CP)
#define VECTORS_PAGE_FAULT (1u << VEC_PF | 1u << VEC_VE)
/*
 * SDM, "VM-entry interruption-information field": these and no others deliver an error
 * code (#CP only where IA32_VMX_BASIC bit 56 is set; we never inject it).
 */
#define VECTORS_ERROR_CODE                                                                         \
	(1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_PF | \
	 1u << VEC_AC)
/* Traps and aborts: their saved RFLAGS have RF as it was (SDM, "Resume flag"). */
#define VECTORS_NO_RF (1u << VEC_DB | 1u << VEC_BP | 1u << VEC_OF | 1u << VEC_DF | 1u << VEC_MC)

/* @info in the format of the interruption-information fields. Only hardware exceptions combine. */
static inline enum event_class event_classify(uint32_t info)
{
	uint32_t vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_TYPE_MASK) != INTR_TYPE_HW_EXCEPTION)
		return EVENT_BENIGN;
	if (vector == VEC_DF)
		return EVENT_DOUBLE_FAULT;
	if (vector_in(vector, VECTORS_PAGE_FAULT))
		return EVENT_PAGE_FAULT;
	return vector_in(vector, VECTORS_CONTRIBUTORY) ? EVENT_CONTRIBUTORY : EVENT_BENIGN;
}

/* SDM, same chapter, "Conditions for generating a double fault". */
static inline enum event_outcome event_combine(enum event_class first, enum event_class second)
{
	if (second == EVENT_BENIGN || first == EVENT_BENIGN)
		return OUTCOME_SERIAL;
	if (first == EVENT_DOUBLE_FAULT)
		return OUTCOME_TRIPLE_FAULT;
	if (first == EVENT_CONTRIBUTORY && second == EVENT_PAGE_FAULT)
		return OUTCOME_SERIAL;
	return OUTCOME_DOUBLE_FAULT;
}

/* Interruption information of an exception of ours; real mode has no error codes. */
static inline uint32_t event_exception_info(uint8_t vector, bool protected_mode)
{
	uint32_t info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | vector;

	if (protected_mode && vector_in(vector, VECTORS_ERROR_CODE))
		info |= INTR_INFO_ERROR_CODE;
	return info;
}

static inline bool event_sets_rf(uint8_t vector)
{
	return !vector_in(vector, VECTORS_NO_RF);
}

/* Events whose delivery pushes the address behind their instruction: the CPU is told its length. */
static inline bool event_has_length(uint32_t info)
{
	uint32_t type = info & INTR_TYPE_MASK;

	return type == INTR_TYPE_SW_INT || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
	       type == INTR_TYPE_SW_EXCEPTION;
}

/*
 * SDM, "Checks on guest non-register state": an NMI needs no blocking by NMI and MOV SS, and
 * some CPUs want none by STI either.
 */
static inline bool event_nmi_open(uint32_t interruptibility)
{
	return !(interruptibility & (BLOCKED_BY_NMI | BLOCKED_BY_MOV_SS | BLOCKED_BY_STI));
}

static inline bool event_irq_open(uint32_t interruptibility, uint64_t rflags)
{
	return (rflags & RFLAGS_IF) && !(interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
}

/* The highest vector of a set of 256; -1 if it is empty. */
static inline int event_highest(const uint64_t set[4])
{
	if (likely(!(set[0] | set[1] | set[2] | set[3])))
		return -1;
	for (int i = 3; i >= 0; i--)
		if (set[i])
			return i * 64 + (int)bit_highest(set[i]);
	return -1;
}
