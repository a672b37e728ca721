/* SPDX-License-Identifier: MIT */
/* vmm/inject.c and its rules: what the CPU is told to deliver, and what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "unittests/fake/vmx.h"
#include "vmm/inject_rules.h"

#define ENTRY_INFO (vmcs_read32(VMCS_ENTRY_INTR_INFO))
#define V	   (&fake_vcpu)

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	return 0;
}

/* What the CPU does with the fields at a VM entry: the event is gone. */
static void enter(void)
{
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vcpu_deliver_events(V);
}

/* The table of the SDM, spelt out: rows are the first event, columns the second. */
static void test_combine_table(void **state)
{
	static const enum event_outcome table[4][4] = {
		[EVENT_BENIGN] = { OUTCOME_SERIAL, OUTCOME_SERIAL, OUTCOME_SERIAL, OUTCOME_SERIAL },
		[EVENT_CONTRIBUTORY] = { OUTCOME_SERIAL, OUTCOME_DOUBLE_FAULT, OUTCOME_SERIAL,
					 OUTCOME_DOUBLE_FAULT },
		[EVENT_PAGE_FAULT] = { OUTCOME_SERIAL, OUTCOME_DOUBLE_FAULT, OUTCOME_DOUBLE_FAULT,
				       OUTCOME_DOUBLE_FAULT },
		[EVENT_DOUBLE_FAULT] = { OUTCOME_SERIAL, OUTCOME_TRIPLE_FAULT, OUTCOME_TRIPLE_FAULT,
					 OUTCOME_TRIPLE_FAULT },
	};

	(void)state;
	for (int first = 0; first < 4; first++)
		for (int second = 0; second < 4; second++)
			assert_int_equal(event_combine(first, second), table[first][second]);
}

/* Every vector as every type: only hardware exceptions have a class. */
static void test_classes(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < 8; type++) {
		for (uint32_t vector = 0; vector < 256; vector++) {
			enum event_class want = EVENT_BENIGN;

			if (type == 3 && vector == 8)
				want = EVENT_DOUBLE_FAULT;
			else if (type == 3 && (vector == 14 || vector == 20))
				want = EVENT_PAGE_FAULT;
			else if (type == 3 &&
				 (vector == 0 || vector == 21 || (vector >= 10 && vector <= 13)))
				want = EVENT_CONTRIBUTORY;
			assert_int_equal(event_classify(INTR_INFO_VALID | type << 8 | vector),
					 want);
		}
	}
}

/* The error-code bit: SDM, VM-entry checks. Never in real mode. */
static void test_error_codes(void **state)
{
	(void)state;
	for (uint32_t vector = 0; vector < 32; vector++) {
		bool want = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		assert_int_equal(!!(event_exception_info((uint8_t)vector, true) & 0x800), want);
		assert_int_equal(event_exception_info((uint8_t)vector, false), 0x80000300 | vector);
	}
}

static void test_exception(void **state)
{
	(void)state;
	inject_exception_code(V, VEC_GP, 0x1234);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000b0d);
	assert_int_equal(vmcs_read32(VMCS_ENTRY_EXCEPTION_ERROR), 0x1234);
	assert_true(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
	enter();
	assert_int_equal(ENTRY_INFO, 0);

	inject_page_fault(V, 0xdeadbeef, PF_WRITE);
	assert_int_equal(V->cr2, 0xdeadbeef);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000b0e);
	assert_int_equal(vmcs_read32(VMCS_ENTRY_EXCEPTION_ERROR), 2);
}

static void test_real_mode_has_no_error_code(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_CR0, CR0_NE);
	inject_exception_code(V, VEC_GP, 0);
	enter();
	assert_int_equal(ENTRY_INFO, 0x8000030d);
}

/* A fault while a fault was being delivered, for every pair of hardware exceptions. */
static void test_nested_exceptions(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 22; first++) {
		for (uint32_t second = 0; second < 22; second++) {
			uint32_t info = event_exception_info((uint8_t)first, true);
			uint32_t want = event_exception_info((uint8_t)second, true);

			fake_vcpu_reset();
			vmcs_write(VMCS_IDT_VECTORING_INFO, info);
			inject_note_vectoring(V);
			inject_exception_code(V, (uint8_t)second, 0);
			enter();
			switch (event_combine(event_classify(info), event_classify(want))) {
			case OUTCOME_SERIAL:
				assert_int_equal(ENTRY_INFO, want);
				break;
			case OUTCOME_DOUBLE_FAULT:
				assert_int_equal(ENTRY_INFO, 0x80000b08);
				assert_int_equal(vmcs_read32(VMCS_ENTRY_EXCEPTION_ERROR), 0);
				break;
			case OUTCOME_TRIPLE_FAULT:
				assert_int_equal(fake_vm.verdict, VERDICT_STOPPED);
				assert_string_equal(fake_vm.reason, "triple-fault");
				assert_int_equal(ENTRY_INFO, 0);
			}
		}
	}
}

/* An interrupted interrupt goes first again; displaced by an exception it is not lost. */
static void test_vectoring_interrupt(void **state)
{
	(void)state;
	vmcs_write(VMCS_IDT_VECTORING_INFO, 0x80000000 | 0x1000 | 0x51);
	inject_note_vectoring(V);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000051);

	inject_note_vectoring(V);
	inject_exception(V, VEC_UD);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000306);
	assert_true(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT);
	vmcs_write(VMCS_IDT_VECTORING_INFO, 0);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000051);
	assert_false(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT);
}

static void test_vectoring_nmi_and_int_n(void **state)
{
	(void)state;
	vmcs_write(VMCS_IDT_VECTORING_INFO, 0x80000202);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_NMI);
	inject_note_vectoring(V);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000202);

	vmcs_write(VMCS_IDT_VECTORING_INFO, 0x80000480);
	vmcs_write(VMCS_EXIT_INSN_LEN, 2);
	inject_note_vectoring(V);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000480);
	assert_int_equal(vmcs_read(VMCS_ENTRY_INSN_LEN), 2);
}

/* INT1 that exited keeps its type; bit 12 is not for VM entry. */
static void test_reflect(void **state)
{
	(void)state;
	inject_reflect(V, 0x80001501, 0, 1);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000501);
	assert_int_equal(vmcs_read(VMCS_ENTRY_INSN_LEN), 1);
	inject_reflect(V, 0x80000b11, 0, 0);
	enter();
	assert_int_equal(ENTRY_INFO, 0x80000b11);
}

/* All combinations of IF and the four kinds of blocking, for one NMI and one interrupt. */
static void test_blocking(void **state)
{
	const uint32_t sti = BLOCKED_BY_STI, ss = BLOCKED_BY_MOV_SS, nmi = BLOCKED_BY_NMI;

	(void)state;
	for (uint32_t blocked = 0; blocked < 16; blocked++) {
		for (int on = 0; on < 2; on++) {
			bool irq_ok = on && !(blocked & (sti | ss));
			bool nmi_ok = !(blocked & (sti | ss | nmi));
			uint32_t windows;

			fake_vcpu_reset();
			vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
			vmcs_write(VMCS_GUEST_RFLAGS, on ? RFLAGS_IF : 0);
			inject_irq(V, 0x31);
			inject_irq(V, 0x91);
			inject_nmi(V);
			assert_int_equal(inject_can_wake(V), on || !(blocked & nmi));
			enter();
			assert_int_equal(ENTRY_INFO, nmi_ok ? 0x80000202 : irq_ok ? 0x80000091 : 0);
			windows = vmcs_read32(VMCS_PROC_CTLS);
			assert_true(windows & PROC_INTR_WINDOW_EXIT);
			assert_int_equal(!!(windows & PROC_NMI_WINDOW_EXIT),
					 !nmi_ok && !(blocked & sti));
		}
	}
}

/* Interrupts go by priority, each once; the window closes behind the last. */
static void test_interrupt_order(void **state)
{
	static const uint8_t order[] = { 255, 200, 64, 63, 32 };

	(void)state;
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	for (size_t i = 0; i < sizeof(order); i++) {
		inject_irq(V, order[sizeof(order) - 1 - i]);
		inject_irq(V, order[i]);
	}
	for (size_t i = 0; i < sizeof(order); i++) {
		enter();
		assert_int_equal(ENTRY_INFO, 0x80000000 | order[i]);
		assert_int_equal(!!(vmcs_read(VMCS_PROC_CTLS) & PROC_INTR_WINDOW_EXIT),
				 i + 1 < sizeof(order));
	}
	enter();
	assert_int_equal(ENTRY_INFO, 0);
	assert_false(inject_can_wake(V));
}

/* Whatever is pended makes the exit path look: it compares with events.due and nothing else. */
static void test_all_events_are_due(void **state)
{
	(void)state;
	for (int kind = 0; kind < 7; kind++) {
		fake_vcpu_reset();
		V->events.due = ~0UL;
		switch (kind) {
		case 0:
			inject_exception(V, VEC_UD);
			break;
		case 1:
			inject_exception_code(V, VEC_GP, 0);
			break;
		case 2:
			inject_page_fault(V, 0x1000, PF_WRITE);
			break;
		case 3:
			inject_reflect(V, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VEC_DB, 0, 0);
			break;
		case 4:
			inject_nmi(V);
			break;
		case 5:
			inject_irq(V, 32);
			break;
		case 6:
			vmcs_write(VMCS_IDT_VECTORING_INFO,
				   INTR_INFO_VALID | INTR_TYPE_EXT_INT | 40);
			inject_note_vectoring(V);
			break;
		}
		assert_int_equal(V->events.due, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combine_table),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_error_codes),
		cmocka_unit_test_setup(test_exception, reset),
		cmocka_unit_test_setup(test_real_mode_has_no_error_code, reset),
		cmocka_unit_test(test_nested_exceptions),
		cmocka_unit_test_setup(test_vectoring_interrupt, reset),
		cmocka_unit_test_setup(test_vectoring_nmi_and_int_n, reset),
		cmocka_unit_test_setup(test_reflect, reset),
		cmocka_unit_test(test_blocking),
		cmocka_unit_test_setup(test_interrupt_order, reset),
		cmocka_unit_test(test_all_events_are_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
