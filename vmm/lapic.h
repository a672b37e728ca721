/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of a vCPU (apic=on), in software: xAPIC at LAPIC_PAGE and x2APIC by MSRs. SDM, "Advanced
 * Programmable Interrupt Controller (APIC)", which names what is named here. LOCAL memory, one
 * for each vCPU; every function is restricted and takes bounded time whatever the guest has written.
 * In x2APIC mode the CPU may do a part of it by itself, in the same registers (vmm/apicv.h).
 *
 * Not there, and hidden by the version register: LVT CMCI, directed EOI. The page cannot be moved. LINT0, LINT1,
 * thermal and performance entries of the LVT are kept; nothing is wired to them but, with a platform, the PIC to LINT0.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

#define LAPIC_PAGE	0xfee00000UL
#define LAPIC_BROADCAST 0xffffffffU

/* Registers by offset / 16, which is the x2APIC MSR's number - 0x800. */
enum lapic_reg {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,
	LAPIC_APR = 0x09,
	LAPIC_PPR = 0x0a,
	LAPIC_EOI = 0x0b,
	LAPIC_RRD = 0x0c,
	LAPIC_LDR = 0x0d,
	LAPIC_DFR = 0x0e,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10, /* eight each: a bit for each vector */
	LAPIC_TMR = 0x18,
	LAPIC_IRR = 0x20,
	LAPIC_ESR = 0x28,
	LAPIC_ICR = 0x30,
	LAPIC_ICR2 = 0x31,
	LAPIC_LVT_TIMER = 0x32,
	LAPIC_LVT_THERMAL = 0x33,
	LAPIC_LVT_PERF = 0x34,
	LAPIC_LVT_LINT0 = 0x35,
	LAPIC_LVT_LINT1 = 0x36,
	LAPIC_LVT_ERROR = 0x37,
	LAPIC_TMICT = 0x38,
	LAPIC_TMCCT = 0x39,
	LAPIC_DCR = 0x3e,
	LAPIC_SELF_IPI = 0x3f,
	LAPIC_REGS_NR = 0x40,
};

/* Who does what of it; apicv.h. */
enum lapic_service {
	LAPIC_SOFTWARE, /* all is done here; where nothing of the VM's APICs ever is the CPU's, its page is not mapped */
	LAPIC_TRAPPED, /* the same, but its page is, and accesses to it exit by themselves */
	LAPIC_XAPIC,   /* the CPU serves it, by the page */
	LAPIC_X2APIC,  /* the CPU serves it, by MSRs */
};

struct lapic {
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id;   /* the x2APIC ID; fixed */
	/*
	 * The registers, as last written or computed; PPR and TMCCT are computed when they are read. A page of the vCPU's
	 * own, laid out as the SDM's "Virtual APIC State": a register each 16 bytes, in the first four of them.
	 */
	uint32_t (*regs)[4];
	uint32_t errors;    /* found since ESR was last written */
	uint32_t ratio;	    /* TSC ticks in one of the crystal clock that CPUID 15h speaks of */
	uint64_t timer_end; /* TSC at which the timer reaches its end; 0: it does not run */
	enum lapic_service service;
	bool is_virtual; /* LAPIC_XAPIC or LAPIC_X2APIC: IRR, ISR and TPR are the CPU's while the guest runs */
	/* No other registers of IRR, of ISR than those with a bit here have one: each interrupt costs several looks. */
	uint8_t irr_words, isr_words;
	/* With LAPIC_XAPIC the registers as software has left them: the CPU writes those in @regs over, then exits. */
	uint32_t kept[LAPIC_REGS_NR];
};

/* The memory of its registers. */
#define LAPIC_REGS_SIZE (LAPIC_REGS_NR * sizeof(uint32_t[4]))

/* That of @v as firmware leaves it, in the memory that @regs of it leads to: after RESET, the PIC's interrupts let through by LINT0, NMIs by LINT1. */
void lapic_init(struct vcpu *v);
/* INIT has come for @v. */
void lapic_reset(struct vcpu *v);

/* Whether @gpa is in the page of registers, as the guest has set it up. @v may have no local APIC. */
bool lapic_has_page(const struct vcpu *v, uint64_t gpa);
/* An access of @size bytes to that page. What is not within one aligned register reads 0 and writes nothing. */
uint64_t lapic_mmio_read(struct vcpu *v, uint64_t gpa, unsigned int size);
void lapic_mmio_write(struct vcpu *v, uint64_t gpa, unsigned int size, uint64_t value);

/* IA32_APIC_BASE, IA32_TSC_DEADLINE, 0x800 to 0x8ff. False: #GP. @v may have no local APIC. */
bool lapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool lapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

/* Whether IA32_APIC_BASE has it enabled: CPUID says so. */
bool lapic_enabled(const struct lapic *l);

/* CR8 is the upper half of TPR. */
uint64_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct vcpu *v, uint64_t cr8);

/* The vector that it would interrupt the CPU with now, -1 if none; and that the CPU takes it. */
int lapic_pending(const struct lapic *l);
void lapic_take(struct lapic *l, unsigned int vector);
/* The former, if it is to be injected: what the CPU serves (is_virtual) the CPU delivers. */
int lapic_injects(const struct lapic *l);
/* The highest vector that is requested, and that is in service; 0: none. */
uint8_t lapic_requested(const struct lapic *l);
uint8_t lapic_in_service(const struct lapic *l);
/* The CPU has put what the guest wrote at @offset of its page into the register there. False: it should not have. */
bool lapic_written(struct vcpu *v, unsigned int offset);

/* lapic_ipi.c: an interrupt message has come for @v. */
void lapic_accept(struct vcpu *v, uint8_t vector, bool level);
/* Whether the PIC's interrupts pass: all do while it is off, and by LINT0 if that is ExtINT and not masked. */
bool lapic_takes_extint(const struct lapic *l);

/* lapic_timer.c: the TSC at which the timer interrupts, 0: never; and what it has done up to @now. */
uint64_t lapic_timer_deadline(const struct lapic *l);
void lapic_timer_expire(struct vcpu *v, uint64_t now);

/* lapic_ipi.c: interrupt messages, from wherever they come. */
enum lapic_mode {
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1,
	LAPIC_SMI = 2,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_SIPI = 6,
};

struct lapic_message {
	uint32_t dest; /* LAPIC_BROADCAST: everybody */
	bool logical;
	enum lapic_mode mode;
	uint8_t vector;
	bool level;
};

/* To all of the VM's vCPUs that it names, but for @except (may be NULL). How many took it. */
unsigned int lapic_deliver(struct vm *vm, const struct lapic_message *m, const struct vcpu *except);
