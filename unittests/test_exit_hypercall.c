/* SPDX-License-Identifier: MIT */
/* vmm/exit_hypercall.c: every number of vmm/abi.h, with right and wrong arguments, in both widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "vmm/audit.h"
#include "unittests/fake/vmx.h"
#include "unittests/fake/world.h"
#include "vmm/abi.h"
#include "vmm/exit.h"
#include "vmm/guestram.h"
#include "vmm/stats.h"

#define V (&fake_vcpu)
/* What stands in the upper halves of registers: a 32-bit guest's arguments must not have it. */
#define DIRT 0xdeadbeef00000000UL

static struct vcpu_stats stats;
static struct asi domain;
static unsigned int nr_asi_exit, nr_steps;

void asi_exit(void)
{
	nr_asi_exit++;
}

bool audit_step(struct audit_walk *walk)
{
	assert_int_equal(nr_asi_exit, 1); /* it may not find out by a fault */
	assert_true(world_stands);
	walk->violations++;
	return ++nr_steps == 3;
}

/* vmm/guestram.c: what it was asked, and what it answers. */
static struct {
	unsigned int releases, claims;
	uint64_t gpa, len;
	int result;
} memory;

int guestram_release(struct vm *vm, gpa_t gpa, uint64_t len)
{
	assert_ptr_equal(vm, V->vm);
	assert_int_equal(nr_asi_exit, 1); /* it changes page tables */
	memory.releases++;
	memory.gpa = gpa.v;
	memory.len = len;
	return memory.result;
}

int guestram_claim(struct vm *vm, gpa_t gpa, uint64_t len)
{
	assert_ptr_equal(vm, V->vm);
	assert_int_equal(nr_asi_exit, 1);
	memory.claims++;
	memory.gpa = gpa.v;
	memory.len = len;
	return memory.result;
}

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	memset(&stats, 0, sizeof(stats));
	V->stats = &stats;
	V->asi = &domain;
	V->events.due = 1000;
	fake_tsc = 50000;
	nr_asi_exit = nr_steps = 0;
	memset(&memory, 0, sizeof(memory));
	return 0;
}

static void enter_32bit(void)
{
	vmcs_write(VMCS_GUEST_CS_AR, 0x9b | SEG_AR_DB);
}

/* The result, of a call that resumes the guest behind VMCALL and changes no other register. */
static uint64_t call(uint64_t number, uint64_t arg1, uint64_t arg2)
{
	uint64_t before[GPR_NR];

	for (unsigned int i = 0; i < GPR_NR; i++)
		V->regs[i] = DIRT | i;
	V->regs[RAX] = number;
	V->regs[RBX] = arg1;
	V->regs[RCX] = arg2;
	memcpy(before, V->regs, sizeof(before));
	assert_int_equal(exit_hypercall(V), RESUME_NEXT);
	before[RAX] = V->regs[RAX];
	assert_memory_equal(V->regs, before, sizeof(before));
	return V->regs[RAX];
}

#define EINVAL_64 ((uint64_t)HC_EINVAL)
#define EINVAL_32 ((uint32_t)HC_EINVAL)

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(call(HC_VERSION, 0, 0), HC_ABI_VERSION);
	assert_int_equal(call(DIRT | HC_VERSION, 0, 0), HC_ABI_VERSION); /* the number is EAX */
	enter_32bit();
	assert_int_equal(call(DIRT | HC_VERSION, 0, 0), HC_ABI_VERSION);
}

static void test_exit(void **state)
{
	static const struct {
		bool wide;
		uint64_t arg;
		enum verdict verdict;
		uint32_t code;
	} cases[] = {
		{ true, 0, VERDICT_PASS, 0 },
		{ true, 1, VERDICT_FAIL, 1 },
		{ true, 0xffffffff, VERDICT_FAIL, 0xffffffff },
		{ true, DIRT, VERDICT_FAIL, 0xffffffff }, /* not 0, although its low half is */
		{ false, DIRT, VERDICT_PASS, 0 },
		{ false, DIRT | 7, VERDICT_FAIL, 7 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		if (!cases[i].wide)
			enter_32bit();
		V->regs[RAX] = HC_EXIT;
		V->regs[RBX] = cases[i].arg;
		assert_int_equal(exit_hypercall(V), STOP_VM);
		assert_int_equal(fake_vm.verdict, cases[i].verdict);
		assert_int_equal(fake_vm.code, cases[i].code);
		assert_null(fake_vm.reason);
	}
}

static void test_timer(void **state)
{
	(void)state;
	assert_int_equal(call(HC_TIMER, 1000, 32), 0);
	assert_int_equal(V->timer_deadline, 51000);
	assert_int_equal(V->hc_vector, 32);
	assert_int_equal(call(HC_TIMER, 2000, 255), 0); /* replaces the last */
	assert_int_equal(V->timer_deadline, 52000);
	assert_int_equal(V->hc_vector, 255);
	/* A wrong vector leaves the timer as it was. */
	assert_int_equal(call(HC_TIMER, 1, 31), EINVAL_64);
	assert_int_equal(call(HC_TIMER, 1, 256), EINVAL_64);
	assert_int_equal(call(HC_TIMER, 1, BIT(32) | 32), EINVAL_64);
	assert_int_equal(call(HC_TIMER, 0, 0), EINVAL_64);
	assert_int_equal(V->timer_deadline, 52000);
	assert_int_equal(V->hc_vector, 255);
	/* Beyond the end of time. */
	assert_int_equal(call(HC_TIMER, ~0UL, 64), 0);
	assert_int_equal(V->timer_deadline, ~0UL);
	/* At once: an interrupt, and no timer any more. */
	assert_int_equal(call(HC_TIMER, 0, 64), 0);
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(V->events.irq[1], 1);
	assert_int_equal(V->events.due, 0);

	reset(state);
	enter_32bit();
	assert_int_equal(call(HC_TIMER, DIRT | 1000, DIRT | 32), 0);
	assert_int_equal(V->timer_deadline, 51000);
	assert_int_equal(call(HC_TIMER, DIRT, 31), EINVAL_32);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(call(HC_NMI, 0, 0), 0);
	assert_true(V->events.nmi);
	assert_int_equal(V->events.due, 0);
	assert_int_equal(call(HC_IRQ, 31, 0), EINVAL_64);
	assert_int_equal(call(HC_IRQ, 256, 0), EINVAL_64);
	assert_int_equal(call(HC_IRQ, BIT(32) | 32, 0), EINVAL_64);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(V->events.irq[i], 0);
	assert_int_equal(call(HC_IRQ, 32, 0), 0);
	assert_int_equal(call(HC_IRQ, 255, 0), 0);
	assert_int_equal(V->events.irq[0], BIT(32));
	assert_int_equal(V->events.irq[3], BIT(63));
	enter_32bit();
	assert_int_equal(call(HC_IRQ, DIRT | 33, 0), 0);
	assert_int_equal(V->events.irq[0], BIT(32) | BIT(33));
}

static void test_tsc_exit(void **state)
{
	(void)state;
	vmcs_write(VMCS_PROC_CTLS, PROC_HLT_EXIT);
	assert_int_equal(call(HC_TSC_EXIT, 1, 0), 0);
	assert_int_equal(vmcs_read(VMCS_PROC_CTLS), PROC_HLT_EXIT | PROC_RDTSC_EXIT);
	assert_int_equal(call(HC_TSC_EXIT, 2, 0), EINVAL_64);
	assert_int_equal(call(HC_TSC_EXIT, BIT(32), 0), EINVAL_64);
	assert_int_equal(vmcs_read(VMCS_PROC_CTLS), PROC_HLT_EXIT | PROC_RDTSC_EXIT);
	assert_int_equal(call(HC_TSC_EXIT, 0, 0), 0);
	assert_int_equal(vmcs_read(VMCS_PROC_CTLS), PROC_HLT_EXIT);
}

static void test_counts(void **state)
{
	const unsigned int last = EXIT_REASON_NR - 1;

	(void)state;
	stats.exits[EXIT_REASON_CPUID] = (struct exit_stats){ .count = 10, .restricted = 9 };
	stats.exits[last] = (struct exit_stats){ .count = BIT(40) + 2, .restricted = 1 };
	assert_int_equal(call(HC_EXIT_COUNT, EXIT_REASON_CPUID, 0), 10);
	assert_int_equal(call(HC_RESTRICTED, EXIT_REASON_CPUID, 0), 9);
	assert_int_equal(call(HC_EXIT_COUNT, last, 0), BIT(40) + 2);
	assert_int_equal(call(HC_RESTRICTED, last, 0), 1);
	assert_int_equal(call(HC_EXIT_COUNT, last + 1, 0), EINVAL_64);
	assert_int_equal(call(HC_RESTRICTED, last + 1, 0), EINVAL_64);
	assert_int_equal(call(HC_EXIT_COUNT, ~0UL, 0), EINVAL_64);
	assert_int_equal(call(HC_RESTRICTED, BIT(32) | EXIT_REASON_CPUID, 0), EINVAL_64);
	enter_32bit();
	assert_int_equal(call(HC_EXIT_COUNT, DIRT | EXIT_REASON_CPUID, 0), 10);
	assert_int_equal(call(HC_EXIT_COUNT, last, 0), 2);
	assert_int_equal(call(HC_RESTRICTED, last + 1, 0), EINVAL_32);
	V->asi = NULL; /* ASI is off */
	assert_int_equal(call(HC_RESTRICTED, EXIT_REASON_CPUID, 0), 0xffffffff);
	assert_int_equal(call(HC_RESTRICTED, last + 1, 0), EINVAL_32);
	reset(state);
	V->asi = NULL;
	assert_int_equal(call(HC_RESTRICTED, EXIT_REASON_CPUID, 0), ~0UL);
}

static void test_audit(void **state)
{
	(void)state;
	assert_int_equal(call(HC_AUDIT, 0, 0), 3);
	assert_int_equal(nr_steps, 3);
	assert_false(world_stands);
}

/* A privileged guest's requests are noted for the scheduler, and end the turn; others have no such calls. */
static void test_control(void **state)
{
	for (uint64_t number = HC_VM_STATE; number <= HC_VM_CREATE; number++) {
		reset(state);
		assert_int_equal(call(number, 3, 0), (uint64_t)HC_EPERM);
		assert_int_equal(V->request.number, 0);
		assert_int_equal(V->events.due, 1000);
		fake_vm.options.control = true;
		call(number, 3, 0);
		assert_int_equal(V->request.number, number);
		assert_int_equal(V->request.vm, 3);
		assert_int_equal(V->events.due, 0);
		/* No cut: the module's number is checked by who knows the modules. */
		call(number, BIT(32) | 3, 0);
		assert_int_equal(V->request.vm, BIT(32) | 3);
		enter_32bit();
		call(number, DIRT | 3, 0);
		assert_int_equal(V->request.vm, 3);
		reset(state);
		fake_vm.options.control = true;
		vmcs_write(VMCS_GUEST_SS_AR, 0x93 | 3 << SEG_AR_DPL_SHIFT);
		assert_int_equal(call(number, 3, 0), (uint64_t)HC_EPERM);
		assert_int_equal(V->request.number, 0);
	}
}

static void test_unknown(void **state)
{
	(void)state;
	assert_int_equal(call(HC_VM_CREATE + 1, 0, 0), EINVAL_64);
	assert_int_equal(call(~0UL, 0, 0), EINVAL_64);
	enter_32bit();
	assert_int_equal(call(HC_VM_CREATE + 1, 0, 0), EINVAL_32);
}

/* Nothing but the answer, whatever is asked. */
static void test_user_mode(void **state)
{
	for (uint64_t number = HC_VERSION; number <= HC_VM_CREATE; number++)
		for (uint64_t cpl = 1; cpl <= 3; cpl++) {
			reset(state);
			vmcs_write(VMCS_PROC_CTLS, PROC_HLT_EXIT);
			vmcs_write(VMCS_GUEST_SS_AR, 0x93 | cpl << SEG_AR_DPL_SHIFT);
			assert_int_equal(call(number, 1, 32), (uint64_t)HC_EPERM);
			enter_32bit();
			assert_int_equal(call(number, 1, 32), (uint32_t)HC_EPERM);
			assert_int_equal(fake_vm.verdict, VERDICT_NONE);
			assert_int_equal(V->timer_deadline, 0);
			assert_false(V->events.nmi);
			assert_int_equal(V->events.irq[0], 0);
			assert_int_equal(vmcs_read(VMCS_PROC_CTLS), PROC_HLT_EXIT);
			assert_int_equal(nr_steps, 0);
		}
}

/* Range and result go through as they are; more at once than may be does not get there. */
static void test_memory(void **state)
{
	(void)state;
	assert_int_equal(call(HC_MEMORY_RELEASE, 0x800000, HC_MEMORY_MAX), 0);
	assert_int_equal(memory.gpa, 0x800000);
	assert_int_equal(memory.len, HC_MEMORY_MAX);
	assert_int_equal(memory.releases, 1);
	reset(NULL);
	memory.result = -12;
	assert_int_equal(call(HC_MEMORY_CLAIM, 0x200000, 0x200000), (uint64_t)HC_ENOMEM);
	assert_int_equal(memory.claims, 1);
	reset(NULL);
	memory.result = -22;
	assert_int_equal(call(HC_MEMORY_CLAIM, ~0UL, 1), EINVAL_64);
	assert_int_equal(memory.gpa, ~0UL);
	reset(NULL);
	enter_32bit();
	assert_int_equal(call(HC_MEMORY_RELEASE, DIRT | 0x200000, DIRT | 0x400000), 0);
	assert_int_equal(memory.gpa, 0x200000);
	assert_int_equal(memory.len, 0x400000);
	reset(NULL);
	assert_int_equal(call(HC_MEMORY_RELEASE, 0x800000, HC_MEMORY_MAX + 1), EINVAL_64);
	assert_int_equal(call(HC_MEMORY_CLAIM, 0x800000, ~0UL), EINVAL_64);
	assert_int_equal(memory.releases + memory.claims + nr_asi_exit, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_version, reset),
		cmocka_unit_test_setup(test_exit, reset),
		cmocka_unit_test_setup(test_timer, reset),
		cmocka_unit_test_setup(test_events, reset),
		cmocka_unit_test_setup(test_tsc_exit, reset),
		cmocka_unit_test_setup(test_counts, reset),
		cmocka_unit_test_setup(test_audit, reset),
		cmocka_unit_test_setup(test_memory, reset),
		cmocka_unit_test_setup(test_control, reset),
		cmocka_unit_test_setup(test_unknown, reset),
		cmocka_unit_test_setup(test_user_mode, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
