/* SPDX-License-Identifier: MIT */
/*
 * A CPU that serves the local APIC of V, by the SDM's text ("APIC Virtualization and Virtual Interrupts"), on the fake
 * VMCS, and the machine around it. What the guest and its devices see of it goes into a trace.
 */
#pragma once
#include "unittests/lapic.h"
#include <stdlib.h>
#include <string.h>
#include "asi/mitigate.h"
#include "mm/buddy.h"
#include "vmm/exit.h"
#include "vmm/platform.h"
#include "vmm/vmcs.h"

#define BITMAP_HPA 0x3000
#define VIRTUAL	   (PROC2_X2APIC | PROC2_APIC_REGS | PROC2_VIRTUAL_INTR)
#define CR8_EXITS  (PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT)
#define PIC_VECTOR 0x21

/* ---- the machine around it ---- */

static bool pic_requests;
static uint8_t bitmap[PAGE_SIZE];

/* What the guest and its devices see, folded into one number; and how often what. */
static uint64_t trace;
static unsigned int nr_exits, nr_delivered, nr_ended, nr_injected, nr_virtual;

static void note(unsigned int what, uint64_t value)
{
	trace = (trace ^ (what * 0x9e3779b97f4a7c15UL + value)) * 0x100000001b3UL;
}

bool platform_interrupts(const struct vcpu *v)
{
	(void)v;
	return pic_requests;
}

uint8_t platform_ack(struct vcpu *v)
{
	(void)v;
	pic_requests = false;
	return PIC_VECTOR;
}

uint64_t platform_deadline(const struct vcpu *v)
{
	(void)v;
	return 0;
}

void platform_expire(struct vcpu *v, uint64_t now)
{
	(void)v, (void)now;
}

void platform_eoi(struct vm *vm, uint8_t vector)
{
	(void)vm;
	nr_ended++;
	note(1, vector);
}

/* ---- what vmm/vmcs.c needs for a new VMCS, which is not made here ---- */

uint64_t rdmsr(uint32_t msr)
{
	return msr;
}

uint64_t read_cr0(void)
{
	return 0;
}

uint64_t read_cr4(void)
{
	return 0;
}

uint64_t gdt_base(void)
{
	return 0;
}

uint64_t gdt_tss_base(void)
{
	return 0;
}

uint64_t idt_base(void)
{
	return 0;
}

void vmx_exit(void)
{
}

void vmx_exit_flush(void)
{
}

bool mitigate_each_exit(const struct asi *asi)
{
	return asi;
}

const struct guest_cpu *guest_cpu(void)
{
	return NULL;
}

uint8_t *fake_ram_direct, *fake_ram_local;

void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	(void)order, (void)class, (void)owner;
	abort();
}

/* ---- the CPU ---- */

/* Loaded by VM entry, saved by VM exit; VPPR. */
static unsigned int rvi, svi, vppr;
static bool recognized, out; /* out: between an exit and the next entry */

static bool is_virtual(void)
{
	uint32_t proc2 = vmcs_read32(VMCS_PROC2_CTLS), proc = vmcs_read32(VMCS_PROC_CTLS);
	bool on = proc2 & PROC2_VIRTUAL_INTR;

	/* SDM, "Checks on VM-Execution Control Fields", and that no MOV CR8 reaches the machine's own APIC. */
	assert_int_equal(proc2 & VIRTUAL, on ? VIRTUAL : 0);
	assert_int_equal(proc & (PROC_TPR_SHADOW | CR8_EXITS), on ? PROC_TPR_SHADOW : CR8_EXITS);
	assert_int_equal(vmcs_read(VMCS_MSR_BITMAP), on ? BITMAP_HPA : 0);
	return on;
}

static unsigned int top(enum lapic_reg first)
{
	for (unsigned int vector = 255; vector; vector--)
		if (fake_regs[first + vector / 32][0] >> vector % 32 & 1)
			return vector;
	return 0;
}

static void set_bit(enum lapic_reg first, unsigned int vector, bool value)
{
	uint32_t *reg = fake_regs[first + vector / 32], bit = 1U << vector % 32;

	*reg = value ? *reg | bit : *reg & ~bit;
}

static void evaluate(void)
{
	recognized = !(vmcs_read32(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT) && rvi >> 4 > vppr >> 4;
}

static void virtualize_ppr(void)
{
	unsigned int tpr = fake_regs[LAPIC_TPR][0];

	vppr = tpr >> 4 >= svi >> 4 ? tpr : svi & 0xf0;
	fake_regs[LAPIC_PPR][0] = vppr;
}

static bool irq_open(void)
{
	return vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF;
}

/* Interrupt gates: IF is clear in the handler. */
static void deliver(unsigned int vector)
{
	nr_delivered++;
	note(2, vector);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
}

static void cpu_exit(void)
{
	if (out)
		return;
	out = true;
	if (is_virtual())
		vmcs_write(VMCS_GUEST_INTR_STATUS, svi << 8 | rvi);
	nr_exits++;
}

/* Whether it exits again, for a window. */
static bool cpu_enter(void)
{
	uint32_t info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	bool on = is_virtual();

	out = recognized = false;
	if (on) {
		rvi = vmcs_read(VMCS_GUEST_INTR_STATUS) & 0xff;
		svi = vmcs_read(VMCS_GUEST_INTR_STATUS) >> 8;
		/* SDM: IRR and ISR are the CPU's; RVI and SVI always name the first of each. */
		assert_int_equal(rvi, top(LAPIC_IRR));
		assert_int_equal(svi, top(LAPIC_ISR));
		virtualize_ppr();
		evaluate();
	}
	if (info & INTR_INFO_VALID) {
		assert_true(irq_open());
		nr_injected++;
		vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
		deliver(info & INTR_INFO_VECTOR_MASK);
	}
	if (irq_open() && (vmcs_read32(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT)) {
		cpu_exit();
		return true;
	}
	if (irq_open() && recognized) {
		nr_virtual++;
		set_bit(LAPIC_ISR, rvi, true);
		set_bit(LAPIC_IRR, rvi, false);
		svi = rvi;
		vppr = svi & 0xf0;
		fake_regs[LAPIC_PPR][0] = vppr;
		deliver(svi);
		rvi = top(LAPIC_IRR);
		recognized = false;
	}
	return false;
}

/* The next boundary between instructions: the way back into the guest, as vmm/run.c has it, and what the CPU does there. */
static void boundary(void)
{
	if (!out && is_virtual())
		vmcs_write(VMCS_GUEST_INTR_STATUS, svi << 8 | rvi);
	do {
		if (out && V->events.due == 0) {
			post_collect(V);
			V->state = VCPU_RUNNABLE;
			vcpu_deliver_events(V);
			V->events.due = V->events.windows ? 0 : ~0UL;
		}
	} while (cpu_enter());
}

static bool passes(uint32_t msr, bool write)
{
	unsigned int bit = msr + (write ? 2048 * 8 : 0);

	return is_virtual() && !(bitmap[bit / 8] >> bit % 8 & 1);
}

/* SDM, "Virtualizing MSR-Based APIC Accesses"; false: #GP. */
static bool guest_wrmsr(uint32_t msr, uint64_t value)
{
	unsigned int vector;

	if (!passes(msr, true)) {
		cpu_exit();
		return lapic_wrmsr(V, msr, value);
	}
	switch (msr - MSR_X2APIC) {
	case LAPIC_TPR:
		if (value >> 8)
			return false;
		fake_regs[LAPIC_TPR][0] = (uint32_t)value;
		virtualize_ppr();
		break;
	case LAPIC_EOI:
		if (value)
			return false;
		vector = svi;
		set_bit(LAPIC_ISR, svi, false);
		svi = top(LAPIC_ISR);
		virtualize_ppr();
		if (vmcs_read(VMCS_EOI_EXIT_BITMAP0 + 2 * (vector / 64)) >> vector % 64 & 1) {
			cpu_exit();
			vmcs_write(VMCS_EXIT_QUAL, vector);
			V->exit_reason = EXIT_REASON_VIRTUALIZED_EOI;
			assert_int_equal(exit_virtual_apic(V), RESUME);
			return true;
		}
		break;
	case LAPIC_SELF_IPI:
		if (value >> 8)
			return false;
		vector = (unsigned int)value;
		if (vector < 16) {
			fake_regs[LAPIC_SELF_IPI][0] = vector;
			cpu_exit();
			vmcs_write(VMCS_EXIT_QUAL, 0x3f0);
			V->exit_reason = EXIT_REASON_APIC_WRITE;
			assert_int_equal(exit_virtual_apic(V), RESUME);
			return true;
		}
		set_bit(LAPIC_IRR, vector, true);
		rvi = rvi > vector ? rvi : vector;
		break;
	default:
		fail_msg("WRMSR 0x%x must exit", msr);
	}
	evaluate();
	return true;
}

static bool guest_rdmsr(uint32_t msr, uint64_t *value)
{
	if (passes(msr, false)) {
		memcpy(value, fake_regs[msr - MSR_X2APIC], sizeof(*value));
		return true;
	}
	cpu_exit();
	return lapic_rdmsr(V, msr, value);
}

/* Between two instructions: what waits for IF is delivered when IF is set. */
static void guest_sets_if(bool on)
{
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | (on ? RFLAGS_IF : 0));
}

static void guest_sets_cr8(uint64_t cr8)
{
	if (!is_virtual()) {
		cpu_exit();
		lapic_set_cr8(V, cr8);
		return;
	}
	fake_regs[LAPIC_TPR][0] = (uint32_t)cr8 << 4;
	virtualize_ppr();
	evaluate();
}
