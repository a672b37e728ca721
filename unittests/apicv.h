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
#include "vmm/apicv.h"
#include "vmm/exit.h"
#include "vmm/platform.h"
#include "vmm/vmcs.h"

#define BITMAP_HPA 0x3000
#define SERVED	   (PROC2_APIC_REGS | PROC2_VIRTUAL_INTR)
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
	bool on = proc2 & PROC2_VIRTUAL_INTR, x2 = proc2 & PROC2_X2APIC;

	/* SDM, "Checks on VM-Execution Control Fields", and that no MOV CR8 reaches the machine's own APIC. */
	assert_int_equal(proc2 & SERVED, on ? SERVED : 0);
	assert_int_equal(proc & (PROC_TPR_SHADOW | CR8_EXITS), on ? PROC_TPR_SHADOW : CR8_EXITS);
	assert_false(x2 && (!on || (proc2 & PROC2_APIC_ACCESS)));
	assert_true(x2 || !on || (proc2 & PROC2_APIC_ACCESS));
	assert_int_equal(vmcs_read(VMCS_MSR_BITMAP), x2 ? BITMAP_HPA : 0);
	/* In xAPIC mode the guest must not find memory at the page, nor the registers in any other mode. */
	assert_int_equal(!!(proc2 & PROC2_APIC_ACCESS),
			 fake_vm.apic_page.v && lapic_enabled(L) && !lapic_is_x2(L));
	return on;
}

static bool is_virtual_x2(void)
{
	return is_virtual() && (vmcs_read32(VMCS_PROC2_CTLS) & PROC2_X2APIC);
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

	return is_virtual_x2() && !(bitmap[bit / 8] >> bit % 8 & 1);
}

/* SDM, "EOI Virtualization". */
static void end_of_interrupt(void)
{
	unsigned int vector = svi;

	set_bit(LAPIC_ISR, svi, false);
	svi = top(LAPIC_ISR);
	virtualize_ppr();
	if (vmcs_read(VMCS_EOI_EXIT_BITMAP0 + 2 * (vector / 64)) >> vector % 64 & 1) {
		cpu_exit();
		vmcs_write(VMCS_EXIT_QUAL, vector);
		assert_int_equal(exit_virtual_eoi(V), RESUME);
		return;
	}
	evaluate();
}

/* SDM, "Self-IPI Virtualization". */
static void self_ipi(unsigned int vector)
{
	set_bit(LAPIC_IRR, vector, true);
	rvi = rvi > vector ? rvi : vector;
	evaluate();
}

static void apic_write_exit(unsigned int offset)
{
	cpu_exit();
	vmcs_write(VMCS_EXIT_QUAL, offset);
	assert_int_equal(exit_apic_write(V), RESUME);
}

/* SDM, "Virtualizing MSR-Based APIC Accesses"; false: #GP. */
static bool guest_wrmsr(uint32_t msr, uint64_t value)
{
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
		evaluate();
		return true;
	case LAPIC_EOI:
		if (value)
			return false;
		end_of_interrupt();
		return true;
	case LAPIC_SELF_IPI:
		if (value >> 8)
			return false;
		if (value >= 16) {
			self_ipi((unsigned int)value);
			return true;
		}
		fake_regs[LAPIC_SELF_IPI][0] = (uint32_t)value;
		apic_write_exit(16 * LAPIC_SELF_IPI);
		return true;
	default:
		fail_msg("WRMSR 0x%x must exit", msr);
		return false;
	}
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

/* ---- the APIC-access page ---- */

/* SDM, "Virtualizing Reads from the APIC-Access Page" and "... Writes to ...", with both controls; by register. */
static const char page_reads[] = "..11....1..1.111"  /* 00: ID, version, TPR, EOI, LDR, DFR, SVR */
				 "1111111111111111"  /* 10: ISR, TMR */
				 "111111111......."  /* 20: IRR, ESR */
				 "111111111.....1."; /* 30: ICR, LVT, TMICT, DCR */
static const char page_writes[] = "..1.....1..1.111"
				  "................"
				  "........1......."
				  "111111111.....1.";

static bool page_virtualizes(const char *registers, unsigned int offset, unsigned int size)
{
	return is_virtual() && offset < 0x400 && offset % 16 + size <= 4 &&
	       registers[offset / 16] == '1';
}

/* What vmm/exit_ept.c does about an APIC access. */
static void behind_access(void)
{
	if (L->service == LAPIC_XAPIC)
		apicv_keep(L);
}

static uint32_t page_read(unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	if (page_virtualizes(page_reads, offset, size)) {
		memcpy(&value, (char *)fake_regs + offset, size);
		return value;
	}
	cpu_exit();
	value = (uint32_t)lapic_mmio_read(V, LAPIC_PAGE + offset, size);
	behind_access();
	return value;
}

/* SDM, "APIC-Write Emulation": ICR that names nobody else, by a fixed message of an edge. */
static bool is_self_ipi(uint32_t icr)
{
	return !(icr & 0xfff3b700) && (icr & ICR_SHORTHAND) == ICR_SELF &&
	       (icr & VECTOR_MASK) >= 16;
}

static void page_write(unsigned int offset, unsigned int size, uint32_t value)
{
	if (!page_virtualizes(page_writes, offset, size)) {
		cpu_exit();
		lapic_mmio_write(V, LAPIC_PAGE + offset, size, value);
		behind_access();
		return;
	}
	memcpy((char *)fake_regs + offset, &value, size);
	if (offset == 16 * LAPIC_TPR) {
		fake_regs[LAPIC_TPR][0] &= 0xff;
		virtualize_ppr();
		evaluate();
	} else if (offset == 16 * LAPIC_EOI) {
		fake_regs[LAPIC_EOI][0] = 0;
		end_of_interrupt();
	} else if (offset == 16 * LAPIC_ICR && is_self_ipi(value)) {
		self_ipi(value & VECTOR_MASK);
	} else if (offset / 16 == LAPIC_ICR2) {
		fake_regs[LAPIC_ICR2][0] &= 0xff000000;
	} else {
		apic_write_exit(offset);
	}
}
