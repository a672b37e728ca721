/* SPDX-License-Identifier: MIT */
/*
 * Flushes of what the processor remembers beside the architecture: which ones this CPU has, which ones it
 * needs, and doing them. When they are due is decided in asi/mitigate.c.
 */
#pragma once

/* Sets of flushes. */
#define FLUSH_L1D 0x1 /* the level 1 data cache (L1TF) */
#define FLUSH_VERW \
	0x2 /* store, fill and load buffers, register file (MDS, TAA, MMIO stale data, RFDS) */
#define FLUSH_IBPB 0x4 /* branch targets that were trained before (Spectre v2, VMSCAPE) */
#define FLUSH_RSB  0x8 /* the return stack buffer */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mitigation_cpu {
	uint32_t cpuid_7_edx;	    /* 0 without leaf 7 */
	uint64_t arch_capabilities; /* 0 without the MSR: nothing is known to be safe */
	uint64_t
		spec_ctrl; /* what IA32_SPEC_CTRL should hold for good: IBRS where it is "enhanced" */
	unsigned int
		has; /* flushes that have an effect here; software can do L1D and RSB anywhere */
	unsigned int needs; /* those that no "not affected" bit makes needless, had or not */
	bool l1d_msr;	    /* L1D by IA32_FLUSH_CMD, else in software */
	size_t l1d_bytes;   /* its size, by CPUID leaf 4; 0 if that does not say */
};

/* What this CPU has. Reads no MSR that CPUID does not promise. */
void mitigation_detect(struct mitigation_cpu *out);
/*
 * Prepares for @flushes, those that will be asked for. The L1D is flushed in software by reading the @len
 * bytes at @buffer, a multiple of pages: mapped in every space and free of secrets. NULL: by the MSR.
 */
void mitigation_use(unsigned int flushes, const void *buffer, size_t len);
/*
 * From now on the software flush reads @len bytes only; the number before. For NMI torture, whose runs grow
 * with the square of the instructions between two states.
 */
size_t mitigation_set_l1d_len(size_t len);
/* IA32_SPEC_CTRL of this CPU := @value, not 0 only where detection says so; no guest can write it. */
void mitigation_set_spec_ctrl(uint64_t value);

/*
 * Does each of @flushes, all of which the CPU has. Any space, any context: touches text, constants and two
 * nonsensitive words. The last one done is VERW, since the software flush fills buffers itself.
 */
void mitigation_flush(unsigned int flushes);

/*
 * 32 returns that lead nowhere, so that the next RETs are predicted from none that a guest has left
 * (arch/x86/flush.S). Uses RAX and 264 bytes of stack.
 */
void rsb_fill(void);
#endif
