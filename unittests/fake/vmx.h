/* SPDX-License-Identifier: MIT */
/* A vCPU in the fake VMCS, for the tests of exit handlers. */
#pragma once
#include "arch/vmxcpu.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

extern struct vm fake_vm;
extern struct vcpu fake_vcpu;
extern uint32_t fake_control_words[VMX_CTL_NR];
extern unsigned int fake_nr_invvpid;	     /* flushes of the guest's TLB */
extern unsigned int fake_nr_unserved;	     /* accesses that nothing serves */
extern bool fake_has_apicv, fake_has_posted; /* what the CPU can */
extern uint32_t fake_mark;		     /* the last one reported */
extern uint64_t fake_asked, fake_kicked; /* CPUs, a bit each, that posts have asked and kicked */
extern uint64_t fake_breakpoints[4];
#define FAKE_SIGNATURE 0x506e3 /* what CPUID says of family, model, stepping */

/* A guest in 64-bit mode at CPL 0 with paging on, nothing pending; VMCS masks own everything. */
void fake_vcpu_reset(void);
