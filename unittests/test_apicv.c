/* SPDX-License-Identifier: MIT */
/*
 * vmm/apicv.c, and the rest of the local APIC and of inject.c with it, on a CPU that serves the local APIC as the SDM
 * says ("APIC Virtualization and Virtual Interrupts"): whatever a guest and its machine do, it sees the same as with
 * all of it done by vmm/lapic.c.
 */
#include "unittests/lapic.h"
#include "unittests/seed.h"
#include <string.h>
#include "asi/mitigate.h"
#include "lib/bitops.h"
#include "mm/buddy.h"
#include "vmm/apicv.h"
#include "vmm/exit.h"
#include "vmm/platform.h"
#include "vmm/vmcs.h"

#define STEPS	   60000
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
			assert_int_equal(exit_virtualized_eoi(V), RESUME);
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
			assert_int_equal(exit_apic_write(V), RESUME);
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

/* ---- the test ---- */

static void read_all(void)
{
	for (uint32_t msr = MSR_X2APIC; msr < MSR_X2APIC + 0x100; msr++) {
		uint64_t value = 0;
		bool ok = guest_rdmsr(msr, &value);

		note(4, ok);
		note(5, ok ? value : 0);
	}
}

/* A level-triggered interrupt's vectors are its own: see exit_virtualized_eoi(). */
static unsigned int shared_vector(void)
{
	unsigned int vector = (unsigned int)seed_below(256);

	return vector >= 0x60 && vector < 0x80 ? vector ^ 0x80 : vector;
}

static void step(void)
{
	uint64_t value = seed_below(256);

	switch (seed_below(16)) {
	case 0:
		note(6, guest_wrmsr(X2MSR(LAPIC_TPR), value));
		break;
	case 1:
		guest_sets_cr8(value & 0xf);
		break;
	case 2:
	case 3:
	case 4:
		note(6, guest_wrmsr(X2MSR(LAPIC_EOI), value < 250 ? 0 : value));
		break;
	case 5:
	case 6:
		note(6, guest_wrmsr(X2MSR(LAPIC_SELF_IPI), shared_vector()));
		break;
	case 7:
	case 8:
		post_irq(&fake_vm, 0, (uint8_t)(0x60 + value % 32), value & 0x80);
		cpu_exit(); /* a kick */
		break;
	case 9: /* while it halts, perhaps */
		post_irq(&fake_vm, 0, (uint8_t)shared_vector(), false);
		cpu_exit();
		post_collect(V);
		note(10, inject_can_wake(V));
		break;
	case 10:
		if (value < 64)
			inject_irq(V, (uint8_t)(0x30 + value % 4));
		else if (value < 128)
			pic_requests = true;
		V->events.due = 0;
		cpu_exit();
		break;
	case 11:
		if (value < 128)
			note(6, guest_wrmsr(X2MSR(seed_below(LAPIC_SELF_IPI)), value));
		else if (value < 192) /* an error that comes as an interrupt, to nobody else */
			note(6, guest_wrmsr(X2MSR(LAPIC_ICR), 5UL << 32 | (value & 31)));
		else if (guest_wrmsr(X2MSR(LAPIC_LVT_ERROR), value - 160)) /* ... armed again */
			note(6, guest_wrmsr(X2MSR(LAPIC_ESR), 0));
		break;
	case 12:
		if (value < 8)
			read_all();
		else if (value < 12)
			note(6, guest_wrmsr(X2MSR(LAPIC_SVR), 0xff));
		else
			note(6, guest_wrmsr(X2MSR(LAPIC_SVR), 0x1ff));
		break;
	case 13:
		if (value < 4) {
			note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0x100));
			boundary();
			note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0x900));
			lapic_mmio_write(V, LAPIC_PAGE + 16 * LAPIC_SVR, 4, 0x1ff);
			assert_false(is_virtual());
			boundary();
			note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0xd00));
		} else if (value < 6) {
			post_init(&fake_vm, 0);
			cpu_exit();
		}
		break;
	default:
		guest_sets_if(true);
	}
	boundary();
	note(7, inject_can_wake(V));
	note(8, lapic_cr8(L));
	note(9, irq_open());
}

static void run(enum vm_apicv apicv, uint64_t seed)
{
	seed_state = seed;
	trace = nr_exits = nr_delivered = nr_ended = nr_injected = nr_virtual = 0;
	pic_requests = false;
	memset(fake_regs, 0, sizeof(fake_regs));
	lapic_start();
	vmcs_write(VMCS_PROC_CTLS, CR8_EXITS);
	fake_vm.options.apic = true;
	fake_vm.options.apicv = apicv;
	V->x2apic_msr_bitmap = HPA(apicv_is_wanted(&fake_vm.options) ? BITMAP_HPA : 0);
	out = true;
	enter_x2();
	assert_true(lapic_wrmsr(V, X2MSR(LAPIC_SVR), 0x1ff));
	boundary();
	for (unsigned int i = 0; i < STEPS; i++)
		step();
}

static void test_same(void **state)
{
	uint64_t seed;

	(void)state;
	seed_start(20261128);
	seed = seed_state;
	vmcs_setup_x2apic_msr_bitmap(bitmap);
	fake_has_apicv = fake_has_posted = true;
	for (unsigned int i = 0; i < 8; i++, seed += 12345) {
		unsigned int exits, ended, delivered, injected;
		uint64_t expected;

		run(VM_APICV_OFF, seed);
		expected = trace, exits = nr_exits, ended = nr_ended, delivered = nr_delivered;
		injected = nr_injected;
		assert_int_equal(nr_virtual, 0);
		run(VM_APICV_AUTO, seed);
		assert_int_equal(nr_delivered, delivered);
		assert_int_equal(nr_ended, ended);
		assert_int_equal(trace, expected);
		/* It has done all of it, and to some purpose. */
		assert_true(nr_ended > 20 && nr_virtual > 1000 && nr_injected > 500);
		assert_true(nr_injected < injected && nr_exits < exits * 3 / 4);
	}
}

/* Who gets it. */
static void test_wanted(void **state)
{
	static const struct {
		bool apic;
		enum vm_apicv apicv;
		bool has, posted, wanted;
	} cases[] = {
		{ true, VM_APICV_AUTO, true, true, true },
		{ true, VM_APICV_AUTO, true, false, false },
		{ true, VM_APICV_AUTO, false, true, false },
		{ true, VM_APICV_ON, true, false, true },
		{ true, VM_APICV_ON, false, true, false },
		{ true, VM_APICV_OFF, true, true, false },
		{ false, VM_APICV_ON, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vm_options o = { .apic = cases[i].apic, .apicv = cases[i].apicv };

		fake_has_apicv = cases[i].has;
		fake_has_posted = cases[i].posted;
		assert_int_equal(apicv_is_wanted(&o), cases[i].wanted);
	}
}

/* The MSRs that pass: those that the SDM virtualizes, and whose registers the page has as they are read. */
static void test_bitmap(void **state)
{
	static const char reads[] = "..11....1.1..1.1"	/* 00: ID, version, TPR, PPR, LDR, SVR */
				    "1111111111111111"	/* 10: ISR, TMR */
				    "111111111......."	/* 20: IRR, ESR */
				    "..1111111.....1."; /* 30: LVT, TMICT, DCR */
	static uint8_t plain[PAGE_SIZE];

	(void)state;
	vmcs_setup_msr_bitmap(plain);
	vmcs_setup_x2apic_msr_bitmap(bitmap);
	for (unsigned int reg = 0; reg < 0x100; reg++) {
		unsigned int read = 0x800 + reg, write = read + 2048 * 8;
		bool writes = reg == LAPIC_TPR || reg == LAPIC_EOI || reg == LAPIC_SELF_IPI;

		assert_int_equal(bitmap[read / 8] >> read % 8 & 1,
				 !(reg < 0x40 && reads[reg] == '1'));
		assert_int_equal(bitmap[write / 8] >> write % 8 & 1, !writes);
		assert_int_equal(plain[read / 8] >> read % 8 & plain[write / 8] >> write % 8 & 1,
				 1);
	}
	/* What else passes is the same. */
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		if (i % 2048 < 0x100 || i % 2048 >= 0x120 || i / 2048 % 2)
			assert_int_equal(bitmap[i] == plain[i] || (i >= 0x100 && i < 0x108) ||
						 (i >= 0x900 && i < 0x908),
					 1);
}

/* An exit that the CPU should not make ends the VM. */
static void test_wrong_write(void **state)
{
	(void)state;
	lapic_start();
	vmcs_write(VMCS_EXIT_QUAL, 0x300);
	assert_int_equal(exit_apic_write(V), STOP_VM);
	assert_int_equal(fake_vm.verdict, VERDICT_STOPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_bitmap),
		cmocka_unit_test(test_wrong_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
