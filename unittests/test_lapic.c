/* SPDX-License-Identifier: MIT */
/* vmm/lapic.c and lapic_ipi.c: registers in both modes, modes, priorities, messages, errors. */
#include "unittests/lapic.h"
#include "unittests/seed.h"
#include "lib/bitops.h"

/* What software sees: after RESET, the bits that it can set, and which of them x2APIC mode lets it try. */
enum { NO_X2 = 1, READ_ONLY_X2 = 2 };

static const struct {
	enum lapic_reg reg;
	uint32_t reset, bits, fixed,
		legal; /* xAPIC: value written, ones behind it; x2APIC: no #GP */
	int flags;
} table[] = {
	{ LAPIC_ID, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_VERSION, 0x50014, 0, 0x50014, 0, READ_ONLY_X2 },
	{ LAPIC_TPR, 0, 0xff, 0, 0xff, 0 },
	{ LAPIC_APR, 0, 0, 0, 0, NO_X2 },
	{ LAPIC_PPR, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_RRD, 0, 0, 0, 0, NO_X2 },
	{ LAPIC_LDR, 0, 0xff000000, 0, 0, READ_ONLY_X2 },
	{ LAPIC_DFR, 0xffffffff, 0xf0000000, 0x0fffffff, 0, NO_X2 },
	{ LAPIC_SVR, 0xff, 0x3ff, 0, 0x3ff, 0 },
	{ LAPIC_ISR, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_ISR + 7, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_TMR, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_IRR + 7, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_ICR2, 0, 0xff000000, 0, 0, NO_X2 },
	{ LAPIC_LVT_TIMER, 0x10000, 0x700ff, 0, 0x710ff, 0 },
	{ LAPIC_LVT_THERMAL, 0x10000, 0x107ff, 0, 0x117ff, 0 },
	{ LAPIC_LVT_PERF, 0x10000, 0x107ff, 0, 0x117ff, 0 },
	{ LAPIC_LVT_LINT0, 0x700, 0x1a7ff, 0, 0x1f7ff, 0 },
	{ LAPIC_LVT_LINT1, 0x400, 0x1a7ff, 0, 0x1f7ff, 0 },
	{ LAPIC_LVT_ERROR, 0x10000, 0x100ff, 0, 0x110ff, 0 },
	{ LAPIC_TMICT, 0, 0xffffffff, 0, 0xffffffff, 0 },
	{ LAPIC_TMCCT, 0, 0, 0, 0, READ_ONLY_X2 },
	{ LAPIC_DCR, 0, 0xb, 0, 0xb, 0 },
};

static bool in_table(unsigned int reg)
{
	return reg == LAPIC_EOI || reg == LAPIC_ESR || reg == LAPIC_ICR ||
	       (reg >= LAPIC_ISR && reg <= LAPIC_IRR + 7) ||
	       (reg >= LAPIC_ID && reg <= LAPIC_VERSION) ||
	       (reg >= LAPIC_TPR && reg <= LAPIC_SVR) ||
	       (reg >= LAPIC_ICR2 && reg <= LAPIC_TMCCT) || reg == LAPIC_DCR;
}

static uint32_t expected(size_t i, uint32_t value)
{
	return (value & table[i].bits) | table[i].fixed;
}

static void test_xapic_registers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		lapic_start();
		assert_int_equal(get(table[i].reg), table[i].reset);
		put(LAPIC_SVR, 0x1ff); /* LVT entries can be unmasked */
		for (unsigned int bit = 0; bit < 32; bit++) {
			put(table[i].reg, 1U << bit);
			assert_int_equal(get(table[i].reg), expected(i, 1U << bit));
			assert_int_equal(L->errors, 0);
			put(LAPIC_SVR, 0x1ff);
		}
	}
}

static void test_x2apic_registers(void **state)
{
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		uint32_t msr = X2MSR(table[i].reg);

		lapic_start();
		put(LAPIC_SVR, 0x1ff);
		enter_x2();
		assert_int_equal(lapic_rdmsr(V, msr, &value), table[i].flags != NO_X2);
		for (unsigned int bit = 0; bit < 64; bit++) {
			bool ok = !table[i].flags && bit < 32 && (table[i].legal >> bit & 1);

			assert_int_equal(lapic_wrmsr(V, msr, 1UL << bit), ok);
			if (!ok)
				continue;
			assert_true(lapic_rdmsr(V, msr, &value));
			assert_int_equal(value, expected(i, 1U << bit));
			assert_true(lapic_wrmsr(V, X2MSR(LAPIC_SVR), 0x1ff));
		}
	}
}

/* Registers that are none: an error in xAPIC mode, #GP in the other. */
static void test_reserved(void **state)
{
	uint64_t value;

	(void)state;
	lapic_start();
	for (unsigned int reg = 0; reg < 0x100; reg++) {
		L->errors = 0;
		assert_int_equal(lapic_mmio_read(V, LAPIC_PAGE + 16 * reg, 4) && !in_table(reg), 0);
		assert_int_equal(L->errors, in_table(reg) ? 0 : 1 << 7);
		L->errors = 0;
		if (in_table(reg))
			continue;
		lapic_mmio_write(V, LAPIC_PAGE + 16 * reg, 4, ~0U);
		assert_int_equal(L->errors, 1 << 7);
	}
	enter_x2();
	for (uint32_t msr = 0x840; msr < 0x900; msr++) {
		assert_false(lapic_rdmsr(V, msr, &value));
		assert_false(lapic_wrmsr(V, msr, 0));
	}
	for (unsigned int reg = 0; reg < 0x40; reg++)
		if (!in_table(reg))
			assert_false(lapic_rdmsr(V, X2MSR(reg), &value));
	assert_false(lapic_rdmsr(V, X2MSR(LAPIC_EOI), &value));
	assert_false(lapic_wrmsr(V, X2MSR(LAPIC_EOI), 1));
	assert_false(lapic_wrmsr(V, X2MSR(LAPIC_ESR), 1));
	assert_true(lapic_wrmsr(V, X2MSR(LAPIC_EOI), 0));
	assert_true(lapic_wrmsr(V, X2MSR(LAPIC_ESR), 0));
	for (unsigned int bit = 0; bit < 32; bit++)
		assert_int_equal(lapic_wrmsr(V, X2MSR(LAPIC_ICR), 1UL << bit | 0x20),
				 0xcdfff >> bit & 1);
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_int_equal(lapic_wrmsr(V, X2MSR(LAPIC_SELF_IPI), 1UL << bit), bit < 8);
}

/* Sizes and alignments: a part of a register can be read; only whole ones are written. */
static void test_sizes(void **state)
{
	(void)state;
	lapic_start();
	put(LAPIC_ICR2, 0xa5000000);
	for (unsigned int size = 1; size <= 8; size *= 2) {
		for (unsigned int byte = 0; byte < 16; byte++) {
			uint64_t gpa = LAPIC_PAGE + 16 * LAPIC_ICR2 + byte;
			uint64_t want = byte + size <= 4 ? 0xa5000000UL >> 8 * byte : 0;

			assert_int_equal(lapic_mmio_read(V, gpa, size),
					 size < 8 ? want & BITS(8 * size - 1, 0) : 0);
			if (byte || size != 4)
				lapic_mmio_write(V, gpa, size, 0);
		}
	}
	assert_int_equal(get(LAPIC_ICR2), 0xa5000000);
}

static void test_modes(void **state)
{
	const uint64_t off = LAPIC_PAGE | 0x100, on = off | 0x800, x2 = on | 0x400;
	const struct {
		uint64_t from, to;
		bool ok;
	} cases[] = {
		{ off, off, true },
		{ off, on, true },
		{ off, x2, false },
		{ on, off, true },
		{ on, on, true },
		{ on, x2, true },
		{ x2, off, true },
		{ x2, on, false },
		{ x2, x2, true },
		{ on, off | 0x400, false },
		{ x2, off | 0x400, false },
		{ on, on | 1, false },
		{ on, on | 0x200, false },
		{ on, on + 0x1000, false },
		{ on, on | 1UL << 40, false },
		{ on, on | 1UL << 63, false },
		{ on, on & ~0x100UL, true },
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		lapic_start();
		L->base = cases[i].from;
		put(LAPIC_TPR, 0x35);
		assert_int_equal(lapic_wrmsr(V, MSR_APIC_BASE, cases[i].to), cases[i].ok);
		assert_true(lapic_rdmsr(V, MSR_APIC_BASE, &value));
		assert_int_equal(value, cases[i].ok ? cases[i].to : cases[i].from);
		assert_int_equal(lapic_enabled(L), !!(value & 0x800));
		assert_int_equal(lapic_has_page(V, LAPIC_PAGE + 0xfff), (value & 0xc00) == 0x800);
		assert_false(lapic_has_page(V, LAPIC_PAGE + 0x1000));
		assert_int_equal(lapic_rdmsr(V, 0x802, &value), (L->base & 0xc00) == 0xc00);
	}
	/* Off, then on: as after RESET; into x2APIC mode: kept. */
	lapic_start();
	put(LAPIC_TPR, 0x35);
	enter_x2();
	assert_true(lapic_rdmsr(V, 0x808, &value));
	assert_int_equal(value, 0x35);
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, off) && lapic_wrmsr(V, MSR_APIC_BASE, on));
	assert_int_equal(get(LAPIC_TPR), 0);
	assert_int_equal(get(LAPIC_LVT_LINT0), 0x10000);
}

static void test_none(void **state)
{
	uint64_t value;

	(void)state;
	lapic_start();
	V->lapic = NULL;
	assert_false(lapic_has_page(V, LAPIC_PAGE));
	assert_true(lapic_rdmsr(V, MSR_APIC_BASE, &value));
	assert_int_equal(value, 0xfee00100);
	assert_true(lapic_wrmsr(V, MSR_APIC_BASE, 0xfee00100));
	assert_false(lapic_wrmsr(V, MSR_APIC_BASE, 0xfee00900));
	assert_false(lapic_rdmsr(V, MSR_TSC_DEADLINE, &value));
	for (uint32_t msr = 0x800; msr < 0x900; msr++)
		assert_false(lapic_rdmsr(V, msr, &value) || lapic_wrmsr(V, msr, 0));
}

/* For every vector and every TPR: what may interrupt, and PPR before and behind it. */
static void test_priorities(void **state)
{
	(void)state;
	for (unsigned int vector = 16; vector < 256; vector++) {
		for (unsigned int tpr = 0; tpr < 256; tpr += 7) {
			bool open = vector / 16 > tpr / 16;

			lapic_start();
			put(LAPIC_SVR, 0x1ff);
			put(LAPIC_TPR, tpr);
			assert_int_equal(lapic_cr8(L), tpr / 16);
			lapic_mmio_write(V, LAPIC_PAGE + 16 * LAPIC_ICR, 4,
					 ICR_SELF | ICR_ASSERT | vector);
			assert_int_equal(V->events.due, 0); /* the post is looked into */
			V->events.due = ~0UL;
			post_collect(V);
			assert_int_equal(get(LAPIC_IRR + vector / 32), 1U << vector % 32);
			assert_int_equal(V->events.due, open ? 0 : ~0UL);
			assert_int_equal(inject_can_wake(V), open);
			assert_int_equal(delivered(), open ? (int)vector : -1);
			assert_false(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT);
			assert_int_equal(get(LAPIC_PPR), open ? vector & 0xf0 : tpr);
			assert_int_equal(get(LAPIC_ISR + vector / 32),
					 open ? 1U << vector % 32 : 0);
			assert_int_equal(delivered(), -1);
			put(LAPIC_EOI, 0x55);
			assert_int_equal(get(LAPIC_PPR), tpr);
		}
	}
}

/* Nesting, EOI order, TPR lowered, windows, and the hypercall's vectors first. */
static void test_order(void **state)
{
	(void)state;
	lapic_start();
	put(LAPIC_SVR, 0x1ff);
	put(LAPIC_ICR, ICR_SELF | 0x41);
	put(LAPIC_ICR, ICR_SELF | 0x45);
	assert_int_equal(delivered(), 0x45);
	put(LAPIC_ICR, ICR_SELF | 0x81);
	inject_irq(V, 0x31);
	assert_int_equal(delivered(), 0x31);
	assert_true(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	assert_int_equal(delivered(), -1);
	assert_true(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(delivered(), 0x81);
	put(LAPIC_EOI, 0);
	assert_int_equal(get(LAPIC_PPR), 0x40);
	assert_int_equal(delivered(), -1);
	V->events.due = ~0UL;
	put(LAPIC_EOI, 0);
	assert_int_equal(V->events.due, 0);
	assert_int_equal(delivered(), 0x41);
	put(LAPIC_EOI, 0);
	put(LAPIC_EOI, 0); /* none in service */
	lapic_set_cr8(V, 5);
	put(LAPIC_ICR, ICR_SELF | 0x51);
	assert_int_equal(delivered(), -1);
	V->events.due = ~0UL;
	lapic_set_cr8(V, 4);
	assert_int_equal(get(LAPIC_TPR), 0x40);
	assert_int_equal(V->events.due, 0);
	assert_int_equal(delivered(), 0x51);
	/* Its delivery faulted: it has been taken, and comes again without the APIC. */
	vmcs_write(VMCS_IDT_VECTORING_INFO, 0x80000051);
	inject_note_vectoring(V);
	inject_exception(V, VEC_UD);
	assert_int_equal(delivered(), VEC_UD);
	vmcs_write(VMCS_IDT_VECTORING_INFO, 0);
	assert_int_equal(delivered(), 0x51);
	assert_int_equal(get(LAPIC_ISR + 2), 1 << 17);
}

static void test_messages(void **state)
{
	const struct {
		uint32_t ldr, dfr, dest, icr;
		bool x2, taken;
	} cases[] = {
		{ 0, ~0U, 0, 0x31, false, true },
		{ 0, ~0U, 1, 0x31, false, false },
		{ 0, ~0U, 0xff, 0x31, false, true },
		{ 0, ~0U, 0, 0x131, false, true },
		{ 0x04, ~0U, 0x06, 0x831, false, true },
		{ 0x04, ~0U, 0x03, 0x831, false, false },
		{ 0, ~0U, 0xff, 0x831, false, true },
		{ 0x24, 0, 0x2c, 0x831, false, true },
		{ 0x24, 0, 0x23, 0x831, false, false },
		{ 0x24, 0, 0x34, 0x831, false, false },
		{ 0x24, 0, 0xf4, 0x831, false, true },
		{ 0x24, 0, 0xf3, 0x831, false, false },
		{ 0x24, 0x10000000, 0x24, 0x831, false, false }, /* no such model */
		{ 0, 0, 9, ICR_SELF | 0x31, false, true },
		{ 0, 0, 9, ICR_SELF | 0x831, false, true },
		{ 0, 0, 9, ICR_ALL | 0x31, false, true },
		{ 0, 0, 0, ICR_OTHERS | 0x31, false, false },
		{ 0, 0, 0, 0x531 | ICR_ASSERT, false, false }, /* INIT, SIPI, SMI */
		{ 0, 0, 0, 0x631, false, false },
		{ 0, 0, 0, 0x231, false, false },
		{ 0, 0, 0, 0x731, false, false },
		{ 0, 0, 0, 0x31, true, true },
		{ 0, 0, 0xff, 0x31, true, false },
		{ 0, 0, ~0U, 0x31, true, true },
		{ 0, 0, 1, 0x831, true, true },
		{ 0, 0, 0x10001, 0x831, true, false },
		{ 0, 0, 2, 0x831, true, false },
		{ 0, 0, 0xffff, 0x831, true, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		lapic_start();
		put(LAPIC_SVR, 0x1ff);
		put(LAPIC_LDR, cases[i].ldr << 24);
		put(LAPIC_DFR, cases[i].dfr);
		if (cases[i].x2) {
			enter_x2();
			assert_true(lapic_wrmsr(V, 0x830,
						(uint64_t)cases[i].dest << 32 | cases[i].icr));
		} else {
			put(LAPIC_ICR2, cases[i].dest << 24);
			put(LAPIC_ICR, cases[i].icr);
		}
		assert_int_equal(delivered(), cases[i].taken ? 0x31 : -1);
		assert_int_equal(fake_nr_unserved, !cases[i].taken);
		assert_false(V->events.nmi);
	}
	lapic_start();
	put(LAPIC_ICR, 0x8500); /* INIT level de-assert: nothing at all */
	assert_int_equal(fake_nr_unserved, 0);
	put(LAPIC_ICR, ICR_SELF | 0x31); /* off by SVR: no interrupt, but NMIs */
	assert_int_equal(delivered(), -1);
	put(LAPIC_TPR, 0xff);
	put(LAPIC_ICR, 0x4400);
	assert_int_equal(delivered(), VEC_NMI);
	/* From elsewhere, level-triggered. */
	put(LAPIC_SVR, 0x1ff);
	assert_int_equal(lapic_deliver(V->vm,
				       &(struct lapic_message){ .vector = 0x31, .level = true },
				       NULL),
			 1);
	post_collect(V);
	assert_int_equal(get(LAPIC_TMR + 1), 1 << 17);
	put(LAPIC_ICR, ICR_SELF | 0x31);
	assert_int_equal(get(LAPIC_TMR + 1), 0);
}

static void test_errors(void **state)
{
	(void)state;
	lapic_start();
	put(LAPIC_SVR, 0x1ff);
	put(LAPIC_LVT_ERROR, 0x41);
	put(LAPIC_ICR2, 1 << 24);
	put(LAPIC_ICR, 15);
	assert_int_equal(get(LAPIC_ESR), 0);
	assert_int_equal(delivered(), 0x41);
	put(LAPIC_EOI, 0);
	get(0x04);
	assert_int_equal(delivered(), -1); /* not armed again */
	put(LAPIC_ESR, ~0U);
	assert_int_equal(get(LAPIC_ESR), 0xa0);
	put(LAPIC_ESR, 0);
	assert_int_equal(get(LAPIC_ESR), 0);
	get(0x04);
	assert_int_equal(delivered(), 0x41);
	/* An error entry whose vector is illegal: one more error. */
	put(LAPIC_ESR, 0);
	put(LAPIC_LVT_ERROR, 3);
	get(0x04);
	put(LAPIC_ESR, 0);
	assert_int_equal(get(LAPIC_ESR), 0xc0);
	put(LAPIC_ICR, ICR_SELF | 7);
	put(LAPIC_ESR, 0);
	assert_int_equal(get(LAPIC_ESR), 0x60);
	/* NMIs, INIT and SIPI have no vector that could be illegal. */
	put(LAPIC_ICR, ICR_SELF | 0x400);
	put(LAPIC_ICR, ICR_OTHERS | 0x4500);
	put(LAPIC_ICR, ICR_OTHERS | 0x4600);
	put(LAPIC_ESR, 0);
	assert_int_equal(get(LAPIC_ESR), 0);
}

static void test_software_off(void **state)
{
	(void)state;
	lapic_start();
	put(LAPIC_LVT_ERROR, 0x41);
	assert_int_equal(get(LAPIC_LVT_ERROR), 0x10041);
	put(LAPIC_SVR, 0x1ff);
	put(LAPIC_LVT_LINT0, 0x700);
	put(LAPIC_ICR, ICR_SELF | 0x41);
	put(LAPIC_SVR, 0xff);
	for (unsigned int lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt++)
		assert_true(get(lvt) & 0x10000);
	assert_int_equal(delivered(), 0x41); /* what was requested is held */
}

/* Whatever a guest does, in both modes: no vector below 16, what is masked stays out, due is set. */
static void test_random(void **state)
{
	uint64_t value;

	(void)state;
	seed_start(11);
	lapic_start();
	for (unsigned int i = 0; i < 1000000; i++) {
		unsigned int reg = (unsigned int)seed_below(0x44);
		int vector;

		fake_tsc += seed_below(20000);
		value = seed_below(2) ? seed_below(0x80000) : seed_below(1UL << 32);
		switch (seed_below(8)) {
		case 0:
			lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE | (seed_below(4) << 10) | 0x100);
			break;
		case 1:
			lapic_wrmsr(V, MSR_TSC_DEADLINE, seed_below(3) ? fake_tsc + value : value);
			break;
		case 2:
			lapic_set_cr8(V, seed_below(16));
			break;
		case 3:
			lapic_wrmsr(V, X2MSR(reg), value);
			break;
		case 4:
			lapic_rdmsr(V, X2MSR(reg), &value);
			break;
		default:
			if (lapic_has_page(V, LAPIC_PAGE))
				lapic_mmio_write(V, LAPIC_PAGE + 16 * reg, 4, value);
			if (lapic_has_page(V, LAPIC_PAGE))
				lapic_mmio_read(V, LAPIC_PAGE + 16 * reg, 4);
		}
		post_collect(V);
		V->events.nmi = false;
		vcpu_check_timer(V, fake_tsc);
		assert_false(L->regs[LAPIC_IRR][0] & 0xffff);
		assert_true(!V->timer_deadline || V->timer_deadline > fake_tsc);
		vector = lapic_pending(L);
		assert_true(vector < 0 || vector / 16 > (int)lapic_cr8(L));
		assert_true(vector < 0 || V->events.due == 0);
		assert_true(lapic_enabled(L) || (vector < 0 && !V->timer_deadline));
		assert_int_equal(delivered(), vector);
		V->events.due = ~0UL;
		if (lapic_pending(L) >= 0)
			V->events.due = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xapic_registers), cmocka_unit_test(test_x2apic_registers),
		cmocka_unit_test(test_reserved),	cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_modes),		cmocka_unit_test(test_none),
		cmocka_unit_test(test_priorities),	cmocka_unit_test(test_order),
		cmocka_unit_test(test_messages),	cmocka_unit_test(test_errors),
		cmocka_unit_test(test_software_off),	cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
