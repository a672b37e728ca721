/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU. The struct, its stack, XSAVE area and statistics are LOCAL: they hold
 * this guest's registers, which its own restricted space may map and no other. The
 * VMCS page is SENSITIVE: only the CPU itself reads it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/percpu.h"
#include "arch/stack.h"
#include "arch/vmx_run.h"
#include "asi/asi.h"
#include "vmm/control.h"
#include "vmm/decode.h"
#include "vmm/inject.h"

/* Register numbers as the SDM encodes them in instructions and exit qualifications. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_NR };

enum vcpu_state {
	VCPU_RUNNABLE,
	VCPU_HALTED, /* in HLT: waits for an event */
	VCPU_WAITS_FOR_SIPI,
	VCPU_STOPPED, /* for good; vm->verdict says why */
};

#define VCPU_STACK_SIZE 0x4000 /* below stack_top */
#define VCPU_NO_CPU	(~0U)

struct vm;
struct lapic;
struct vcpu_post;
struct vcpu_stats;
struct trace_ring;
struct sched_entity;

struct vcpu {
	/* vmx_run.S knows the offsets of these (arch/vmx_run.h; asserted in vcpu.c). */
	uint64_t regs[GPR_NR]; /* [RSP] is in the VMCS: vcpu_reg() and vcpu_set_reg() know */
	uint64_t cr2;
	uint64_t host_rsp; /* what VMCS HOST_RSP holds; 0 after VMCLEAR: to be launched */

	struct vm *vm;
	struct asi *asi; /* with a reference; NULL: no ASI for this VM */
	struct mem_owner
		*owner; /* of what is this vCPU's alone: the VM's, or with domain=vcpu its own */
	uint32_t id;
	enum vcpu_state state;
	hpa_t vmcs, msr_bitmap;	 /* pages that only the CPU reads */
	hpa_t x2apic_msr_bitmap; /* used while the CPU serves the local APIC; 0: it never does */
	uint16_t vpid;
	struct stack stack;	    /* turns of this vCPU run here; its canary is LOCAL as well */
	bool alone;		    /* nobody else wants this CPU: its turns follow each other */
	bool dormant;		    /* asleep with no timer: not counted in vm->awake */
	uint32_t last_cpu;	    /* that it was loaded on; VCPU_NO_CPU: none yet */
	uint32_t ready_cpu;	    /* the same; VCPU_NO_CPU: each load has more to do */
	struct vcpu_post *post;	    /* how others reach it */
	struct sched_entity *sched; /* SENSITIVE: the scheduler's */
	struct control_request request;

	/* The exit being handled. */
	uint32_t exit_reason; /* basic reason, bits 15:0 */
	uint64_t exit_tsc;

	struct events events;

	/* What VMCS HOST_CR3 holds; 0, which never matches, where each entry wants mitigate_entry(). */
	uint64_t host_cr3;
	uint64_t cr4_guest; /* read shadow of CR4: holds OSXSAVE and what else exits (vmcs.c) */
	uint64_t xcr0;	    /* the guest's */
	/* What the VMCS does not switch; of use while another vCPU is loaded. */
	void *xsave_area;
	uint64_t switched_msrs[8]; /* by vmcs_switched_msr() */
	uint64_t breakpoints[4];   /* DR0 to DR3 */
	uint64_t dr6;
	uint8_t cr8; /* the guest's, where no APIC stands behind it */

	struct lapic *lapic; /* NULL: none (apic=off) */
	struct decode_memo decoded;

	uint64_t
		timer_deadline; /* TSC at which the first of the two timers runs out; 0: both off */
	uint64_t hc_deadline;	/* of the hypercall timer; 0: off */
	uint8_t hc_vector;

	uint64_t entry_tsc;   /* TSC of the first entry since the scheduler has set it to 0 */
	uint64_t turn_end;    /* TSC at which the scheduler wants the CPU back */
	uint64_t slice_end;   /* TSC at which the turn ends: then, or with the guest's time limit */
	uint64_t guest_ticks; /* spent in the guest, the way in and out included */
	struct vcpu_stats *stats;
	struct trace_ring *trace;      /* NULL: nothing is noted */
	struct trace_ring *trace_ring; /* what has been; NULL: there has been no trace */
};

/*
 * Makes vCPU @id of @vm: the first one ready for vcpu_set_multiboot_entry(), the others to be started by it. 0 or
 * -ENOMEM. It is loaded on no CPU, then and when it is destroyed. Unrestricted.
 */
__must_check int vcpu_create(struct vm *vm, uint32_t id, struct vcpu **out);
void vcpu_destroy(struct vcpu *v);

/*
 * Multiboot machine state ("I386 machine state" of its specification): 32-bit flat
 * protected mode, paging off, EAX = magic, EBX = boot information.
 */
void vcpu_set_multiboot_entry(struct vcpu *v, uint32_t entry, uint32_t info);

/*
 * Puts @v, loaded on no other CPU, into this one: its VMCS, its MSRs, debug registers and x87 to AVX-512 state. Whoever
 * was there before is saved first. Interrupts off.
 */
void vcpu_load(struct vcpu *v);
/* Saves whoever is loaded here. Afterwards this CPU holds no guest's registers, and any CPU may load it. */
void vcpu_put(void);

/* The vCPU that is loaded here, and the one on whose stack this runs; NULL if there is none. */
extern __percpu struct vcpu *vcpu_loaded;
static inline struct vcpu *vcpu_here(void)
{
	return this_cpu(vcpu_loaded);
}
struct vcpu *vcpu_in_use(void);

/* Before a VM entry: what this CPU caches of the VM's EPT is as its tables are now. */
void vcpu_sync_ept(const struct vcpu *v);

/*
 * Gives the vCPU a turn on its own stack (vmm/run.c), until TSC @end at most; if it is @alone, one turn after the
 * other until it stops or this CPU is asked, without a crossing. Base stack, unrestricted, interrupts
 * off; the same on return.
 */
void vcpu_run(struct vcpu *v, uint64_t end, bool alone);

/*
 * Whether the guest of the loaded vCPU may be entered now, and then until when: slice_end, TSC @end at most. Otherwise
 * it sleeps, or has stopped (vmm/ready.c). Unrestricted, or restricted on its own.
 */
bool vcpu_ready(struct vcpu *v, uint64_t end);
/*
 * Lets what has come for the loaded vCPU up to TSC @now wake it, its mail too. False: it sleeps. The last one of a VM to
 * fall asleep for good stops the VM ("halted"). Part of vcpu_ready(), and for the scheduler before it lets one sleep.
 */
bool vcpu_wake(struct vcpu *v, uint64_t now);
/* When a sleeping vCPU is to be looked at without a reason from outside: TSC, or RQ_NEVER. */
uint64_t vcpu_wake_time(const struct vcpu *v);

/* startup.c: what INIT, and a start-up IPI with @vector, do to @v, which is loaded. */
void vcpu_init(struct vcpu *v);
void vcpu_startup(struct vcpu *v, uint8_t vector);

/* A timer has been set or stopped: looks for the first deadline (timer.c). */
void vcpu_timer_changed(struct vcpu *v);

/* Pends the interrupts of the guest's timers that have run out at TSC @now. */
void vcpu_check_timer(struct vcpu *v, uint64_t now);

/* Guest registers by number, RSP included. The vCPU is loaded. */
uint64_t vcpu_reg(const struct vcpu *v, unsigned int reg);
void vcpu_set_reg(struct vcpu *v, unsigned int reg, uint64_t value);

/* Whether the guest is in 64-bit mode (CS.L and EFER.LMA), and its CPL. The vCPU is loaded. */
bool vcpu_in_64bit(const struct vcpu *v);
unsigned int vcpu_cpl(const struct vcpu *v);

/*
 * Moves RIP past the instruction that exited, @len bytes, ends the STI/MOV SS shadow, honours TF
 * (run.c, which does it for RESUME_NEXT). For exits that give no length: EPT violations.
 */
void vcpu_skip_bytes(struct vcpu *v, unsigned int len);
