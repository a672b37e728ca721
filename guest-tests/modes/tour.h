/* SPDX-License-Identifier: MIT */
/*
 * What tour.S fills on its way through all modes; one struct at TOUR_DATA below 64 KiB, where
 * real mode reaches it. Offsets are for the assembly, checked in main.c.
 */
#pragma once

#define TOUR_CODE 0x8000
#define TOUR_DATA 0x7000

#define T_STEPS	      0x00 /* bit mask of STEP_* passed */
#define T_CALLS	      0x04 /* may VMCALL: in */
#define T_CALL_COMPAT 0x08 /* results of HC_VERSION */
#define T_CALL_PROT   0x0c
#define T_CALL_REAL   0x10
#define T_EFER	      0x14 /* after paging went off, LME still set */
#define T_INT	      0x18 /* software interrupts seen in real mode */
#define T_IRQ	      0x1c /* HC_IRQ interrupts seen in real mode */
#define T_IN	      0x20 /* inl of an unclaimed port in real mode */
#define T_CPUID	      0x24 /* EBX of leaf 0 in real mode */
#define T_STRING      0x28 /* DI after rep insb in real mode */
#define T_CR0_REAL    0x2c
#define T_EFER_PAE    0x30
#define T_WORD_32     0x34 /* read through 32-bit paging, PAE paging */
#define T_WORD_PAE    0x38
#define T_BUFFER      0x40

#define STEP_COMPAT 0x01
#define STEP_PROT   0x02
#define STEP_PM16   0x04
#define STEP_REAL   0x08
#define STEP_BACK   0x10
#define STEP_32BIT  0x20
#define STEP_PAE    0x40
#define STEP_LONG   0x80
#define STEP_ALL    0xff
