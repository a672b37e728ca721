/* SPDX-License-Identifier: MIT */
/*
 * vmm/apicv.c, and the rest of the local APIC and of inject.c with it, on a CPU that serves the local APIC
 * (unittests/apicv.h): whatever a guest and its machine do, it sees the same as with all of it done by vmm/lapic.c.
 */
#include "unittests/apicv.h"
#include "unittests/seed.h"
#include "vmm/apicv.h"

#define STEPS	 60000
#define PAGE_HPA 0x5000

static enum { X2APIC_ONLY, XAPIC_ONLY, BOTH_MODES } modes;

static void read_all(void)
{
	for (uint32_t msr = MSR_X2APIC; msr < MSR_X2APIC + 0x100; msr++) {
		uint64_t value = 0;
		bool ok = guest_rdmsr(msr, &value);

		note(4, ok);
		note(5, ok ? value : 0);
	}
	for (unsigned int offset = 0; offset < PAGE_SIZE && !lapic_is_x2(L); offset += 16)
		note(5, page_read(offset, 4));
}

/* By the mode that it is in; in xAPIC mode interrupts to oneself are sent by ICR. False: #GP. */
static bool put_register(enum lapic_reg reg, uint64_t value)
{
	if (lapic_is_x2(L))
		return guest_wrmsr(X2MSR(reg), value);
	if (reg == LAPIC_SELF_IPI)
		page_write(16 * LAPIC_ICR, 4, ICR_SELF | (uint32_t)value);
	else
		page_write(16 * reg, 4, (uint32_t)value);
	return true;
}

/* To somebody who is not there. */
static bool send_away(uint32_t icr)
{
	if (lapic_is_x2(L))
		return guest_wrmsr(X2MSR(LAPIC_ICR), 5UL << 32 | icr);
	page_write(16 * LAPIC_ICR2, 4, 5U << 24);
	return put_register(LAPIC_ICR, icr);
}

/* Off, and on in the one mode or the other. While it is off its page is memory, or nothing. */
static void change_mode(bool x2)
{
	note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0x100));
	boundary();
	note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0x900));
	assert_false(is_virtual());
	note(5, page_read(16 * LAPIC_SVR, 4));
	page_write(16 * LAPIC_SVR, 4, 0x1ff);
	boundary();
	if (x2)
		note(6, guest_wrmsr(MSR_APIC_BASE, LAPIC_PAGE | 0xd00));
}

/* By an instruction that the CPU does not virtualize, anywhere in the page. */
static void odd_instruction(uint64_t value)
{
	static const enum lapic_reg regs[] = { LAPIC_TPR, LAPIC_EOI, LAPIC_DCR, LAPIC_ICR2 };

	cpu_exit();
	lapic_mmio_write(V, LAPIC_PAGE + 16 * regs[value % 4], 4, (uint32_t)value);
	behind_access();
}

/* What the SDM does not define is left out: a write of the first bytes only. */
static void odd_access(uint64_t value)
{
	unsigned int offset = (unsigned int)seed_below(PAGE_SIZE) >> (value & 3);
	unsigned int size = 1U << seed_below(3);

	if (lapic_is_x2(L))
		return;
	if (value < 32)
		odd_instruction(value);
	else if (value & 0x80)
		note(5, page_read(offset, size));
	else
		page_write(offset, offset % 16 ? size : 4, (uint32_t)(value * 0x01010101));
}

/* A level-triggered interrupt's vectors are its own: see exit_virtual_eoi(). */
static unsigned int shared_vector(void)
{
	unsigned int vector = (unsigned int)seed_below(256);

	return vector >= 0x60 && vector < 0x80 ? vector ^ 0x80 : vector;
}

static void step(void)
{
	uint64_t value = seed_below(256);

	switch (seed_below(18)) {
	case 0:
		note(6, put_register(LAPIC_TPR, value));
		break;
	case 1:
		guest_sets_cr8(value & 0xf);
		break;
	case 2:
	case 3:
	case 4:
		note(6, put_register(LAPIC_EOI, value < 250 ? 0 : value));
		break;
	case 5:
	case 6:
		note(6, put_register(LAPIC_SELF_IPI, shared_vector()));
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
			note(6, put_register((enum lapic_reg)seed_below(LAPIC_SELF_IPI), value));
		else if (value < 192) /* an error that comes as an interrupt, to nobody else */
			note(6, send_away(value & 31));
		else if (put_register(LAPIC_LVT_ERROR, value - 160)) /* ... armed again */
			note(6, put_register(LAPIC_ESR, 0));
		break;
	case 12:
		if (value < 8)
			read_all();
		else if (value < 12)
			note(6, put_register(LAPIC_SVR, 0xff));
		else
			note(6, put_register(LAPIC_SVR, 0x1ff));
		break;
	case 13:
		if (value < 4) {
			change_mode(modes == X2APIC_ONLY || (modes == BOTH_MODES && value % 2));
		} else if (value < 6) {
			post_init(&fake_vm, 0);
			cpu_exit();
		}
		break;
	case 14:
	case 15:
		odd_access(value);
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
	if (apicv_is_wanted(&fake_vm.options)) {
		V->x2apic_msr_bitmap = HPA(BITMAP_HPA);
		fake_vm.apic_page = HPA(PAGE_HPA);
		L->service = LAPIC_TRAPPED;
		vmcs_write(VMCS_PROC2_CTLS, PROC2_APIC_ACCESS);
	}
	out = true;
	L->id = 3;
	change_mode(modes == X2APIC_ONLY);
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
	for (unsigned int i = 0; i < 12; i++, seed += 12345) {
		unsigned int exits, ended, delivered, injected;
		uint64_t expected;

		modes = i % 3;
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
	static const struct {
		enum lapic_service service;
		uint64_t base;
		uint32_t offset;
	} cases[] = {
		{ LAPIC_SOFTWARE, 0x900, 0x300 }, { LAPIC_TRAPPED, 0x900, 0x300 },
		{ LAPIC_XAPIC, 0x900, 0x400 },	  { LAPIC_XAPIC, 0x900, 0xff0 },
		{ LAPIC_X2APIC, 0xd00, 0x300 },	  { LAPIC_X2APIC, 0xd00, 0xf0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		lapic_start();
		L->base = LAPIC_PAGE | cases[i].base;
		L->service = cases[i].service;
		L->is_virtual = L->service >= LAPIC_XAPIC;
		vmcs_write(VMCS_EXIT_QUAL, cases[i].offset);
		assert_int_equal(exit_apic_write(V), STOP_VM);
		assert_int_equal(fake_vm.verdict, VERDICT_STOPPED);
		L->service = LAPIC_SOFTWARE;
	}
}

/* A CPU that has x2APIC mode only: in xAPIC mode the software does all of it. */
static void test_without_page(void **state)
{
	(void)state;
	memset(fake_regs, 0, sizeof(fake_regs));
	lapic_start();
	V->x2apic_msr_bitmap = HPA(BITMAP_HPA);
	put(LAPIC_SVR, 0x1ff);
	assert_int_equal(L->service, LAPIC_SOFTWARE);
	enter_x2();
	assert_int_equal(L->service, LAPIC_X2APIC);
	assert_true(is_virtual_x2());
	assert_true(lapic_wrmsr(V, X2MSR(LAPIC_SVR), 0xff));
	assert_int_equal(L->service, LAPIC_SOFTWARE);
}

/* SDM, "Issues Pertaining to Page Size and TLB Management": a flush where, and only where, the page has been memory. */
static void test_flush(void **state)
{
	uint64_t *seen = &fake_vm.ept_seen[cpu_number];

	(void)state;
	memset(fake_regs, 0, sizeof(fake_regs));
	lapic_start();
	fake_has_apicv = fake_has_posted = true;
	V->x2apic_msr_bitmap = HPA(BITMAP_HPA);
	fake_vm.apic_page = HPA(PAGE_HPA);
	L->service = LAPIC_TRAPPED;
	*seen = 7;
	apicv_load(V);
	assert_int_equal(*seen, 7);
	put(LAPIC_SVR, 0x1ff);
	assert_int_equal(L->service, LAPIC_XAPIC);
	assert_int_equal(*seen, 7);
	enter_x2(); /* another vCPU's, say */
	assert_int_equal(*seen, 7);
	L->service = LAPIC_XAPIC;
	apicv_load(V);
	assert_int_equal(*seen, 0);
	*seen = 8;
	apicv_load(V);
	assert_int_equal(*seen, 8);
	L->service = LAPIC_SOFTWARE;
	apicv_load(V);
	assert_int_equal(*seen, 8);
	L->service = LAPIC_TRAPPED;
	V->events.due = ~0UL;
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE | 0x100));
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE | 0x900));
	assert_int_equal(L->service, LAPIC_TRAPPED);
	assert_int_equal(*seen, 0);
	assert_int_equal(V->events.due, 0); /* vcpu_sync_ept() goes before the next entry */
	L->service = LAPIC_SOFTWARE;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	     cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_bitmap),	     cmocka_unit_test(test_wrong_write),
		cmocka_unit_test(test_without_page), cmocka_unit_test(test_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
