/* SPDX-License-Identifier: MIT */
/*
 * What a guest may ask of Vestibule, shared with guest-tests/. A hypercall is
 * VMCALL from CPL 0 in any mode: number in EAX, arguments in EBX, ECX, EDX (their
 * 64-bit forms in 64-bit mode), result in EAX (RAX). Unknown numbers and wrong
 * arguments give HC_EINVAL; from CPL > 0 HC_EPERM.
 */
#pragma once

#define PORT_EXIT 0xf4 /* a write of v ends the guest: 0 = pass, else fail with that code */
#define PORT_MARK 0xf5 /* a write of v has the exits so far reported, as the @mark record v */

#define HC_VERSION 0 /* result: HC_ABI_VERSION */
#define HC_EXIT	   1 /* arg1: the verdict, as for PORT_EXIT; does not return */
#define HC_TIMER \
	2 /* arg1: TSC ticks from now (0: at once), arg2: vector 32-255; one shot, replaces the last */
#define HC_NMI	      3 /* pends an NMI for the caller */
#define HC_TSC_EXIT   4 /* arg1: 1 = RDTSC and RDTSCP exit from now on, 0 = they do not */
#define HC_EXIT_COUNT 5 /* arg1: SDM basic exit reason; result: exits of it so far by this vCPU */
#define HC_RESTRICTED \
	6 /* arg1: reason as above; result: those that stayed restricted, ~0 if ASI is off */
#define HC_AUDIT 7 /* runs the ASI audit now; result: violations found */
#define HC_IRQ	 8 /* arg1: vector 32-255; pends it for the caller */
/*
 * arg1: guest-physical address, arg2: bytes, both multiples of HC_MEMORY_UNIT, at most HC_MEMORY_MAX at
 * once. RELEASE gives back RAM, whole units without a hole: its contents are gone, and it is then as where
 * there never was RAM. CLAIM makes RAM again, cleared, of what was released. Result: 0, or HC_ENOMEM with
 * nothing changed.
 */
#define HC_MEMORY_RELEASE 9
#define HC_MEMORY_CLAIM	  10

/*
 * For a guest with control=on, others get HC_EPERM. arg1: a VM, by the number of its boot module among the guests', from
 * 0; HC_EINVAL if there is no such module. STATE: HC_VM_*. STOP: it begins to end. DESTROY: of one that has ended, every byte is
 * given back; HC_EBUSY if it has not. CREATE: it is made of its module once more, and runs; HC_EBUSY if it exists,
 * HC_ENOMEM.
 */
#define HC_VM_STATE   11
#define HC_VM_STOP    12
#define HC_VM_DESTROY 13
#define HC_VM_CREATE  14

#define HC_VM_NONE  0
#define HC_VM_RUNS  1
#define HC_VM_ENDED 2

#define HC_MEMORY_UNIT 0x200000
#define HC_MEMORY_MAX  0x2000000
/*
 * In builds with DEBUG=1 only: the handler touches sensitive memory, as one with a bug would; arg1 = 1: with
 * a lock held.
 */
#define HC_DEBUG_TOUCH 0x100

#define HC_ABI_VERSION 1

#define HC_EINVAL (-22)
#define HC_EPERM  (-1)
#define HC_ENOMEM (-12)
#define HC_EBUSY  (-16)
