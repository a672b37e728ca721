/* SPDX-License-Identifier: MIT */
/*
 * State of x87, SSE, AVX and AVX-512. We use none of it ourselves (-mgeneral-regs-only): a
 * guest's stays in the registers while its exits are handled.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XCR0_X87 0x1UL

/* Chooses the components that guests may use and turns them on, on this CPU. XSAVE is there. */
void fpu_init(void);

/* Bytes of an XSAVE area (standard format) for all of them. */
size_t fpu_area_size(void);
/* Makes a cleared area hold the state after RESET. */
void fpu_init_area(void *area);
/* All components, also those that the guest has turned off; XCR0 becomes the mask, or @xcr0. */
void fpu_save(void *area);
void fpu_load(const void *area, uint64_t xcr0);

/*
 * Whether XSAVEC, which the CPU has, stores AVX state where the SDM says. Bochs' does not, and registers of a guest that uses
 * it are destroyed. Once, at boot, after fpu_init(); leaves all components in their initial state.
 */
bool fpu_xsavec_works(void);
