/* SPDX-License-Identifier: MIT */
/*
 * vmm/startup.c with the real vmm/vmcs.c and local APIC: what INIT and start-up IPIs do to a vCPU in any state. SDM,
 * "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", "Local APIC State After It Receives an
 * INIT-Deassert IPI", "MP Initialization Protocol Algorithm for MP Systems".
 */
#include "unittests/lapic.h"
#include <string.h>
#include "arch/desc.h"
#include "asi/mitigate.h"
#include "mm/buddy.h"
#include "vmm/vmcs.h"

#define ID	  1
#define GARBAGE	  0x5a5a
#define SIGNATURE FAKE_SIGNATURE

/* What the field is after INIT; the rest of the VMCS stays. */
static const struct {
	uint32_t field;
	uint64_t value;
} after_init[] = {
	{ VMCS_GUEST_RFLAGS, 2 },
	{ VMCS_GUEST_RIP, 0xfff0 },
	{ VMCS_GUEST_RSP, 0 },
	{ VMCS_GUEST_CR3, 0 },
	{ VMCS_CR4_SHADOW, 0 },
	{ VMCS_GUEST_CR4, CR4_VMXE }, /* VMX operation wants it */
	{ VMCS_GUEST_CR0, CR0_ET | CR0_NE },
	{ VMCS_CR0_SHADOW, CR0_ET },
	{ VMCS_GUEST_EFER, 0 },
	{ VMCS_GUEST_DR7, 0x400 },
	{ VMCS_GUEST_DEBUGCTL, 0 },
	{ VMCS_GUEST_CS_SELECTOR, 0xf000 },
	{ VMCS_GUEST_CS_BASE, 0xffff0000 },
	{ VMCS_GUEST_CS_LIMIT, 0xffff },
	{ VMCS_GUEST_CS_AR, 0x93 },
	{ VMCS_GUEST_SS_SELECTOR, 0 },
	{ VMCS_GUEST_SS_BASE, 0 },
	{ VMCS_GUEST_SS_LIMIT, 0xffff },
	{ VMCS_GUEST_SS_AR, 0x93 },
	{ VMCS_GUEST_DS_SELECTOR, 0 },
	{ VMCS_GUEST_DS_BASE, 0 },
	{ VMCS_GUEST_DS_LIMIT, 0xffff },
	{ VMCS_GUEST_DS_AR, 0x93 },
	{ VMCS_GUEST_ES_SELECTOR, 0 },
	{ VMCS_GUEST_ES_BASE, 0 },
	{ VMCS_GUEST_ES_LIMIT, 0xffff },
	{ VMCS_GUEST_ES_AR, 0x93 },
	{ VMCS_GUEST_FS_SELECTOR, 0 },
	{ VMCS_GUEST_FS_BASE, 0 },
	{ VMCS_GUEST_FS_LIMIT, 0xffff },
	{ VMCS_GUEST_FS_AR, 0x93 },
	{ VMCS_GUEST_GS_SELECTOR, 0 },
	{ VMCS_GUEST_GS_BASE, 0 },
	{ VMCS_GUEST_GS_LIMIT, 0xffff },
	{ VMCS_GUEST_GS_AR, 0x93 },
	{ VMCS_GUEST_GDTR_BASE, 0 },
	{ VMCS_GUEST_GDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_IDTR_BASE, 0 },
	{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_LDTR_SELECTOR, 0 },
	{ VMCS_GUEST_LDTR_BASE, 0 },
	{ VMCS_GUEST_LDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_LDTR_AR, 0x82 },
	{ VMCS_GUEST_TR_SELECTOR, 0 },
	{ VMCS_GUEST_TR_BASE, 0 },
	{ VMCS_GUEST_TR_LIMIT, 0xffff },
	{ VMCS_GUEST_TR_AR, 0x8b }, /* VM entry refuses one that is not busy */
	/* What was under way. */
	{ VMCS_GUEST_INTERRUPTIBILITY, 0 },
	{ VMCS_GUEST_ACTIVITY, 0 },
	{ VMCS_GUEST_PENDING_DBG, 0 },
	{ VMCS_ENTRY_INTR_INFO, 0 },
	{ VMCS_ENTRY_CTLS, 0x11 }, /* of the machine: no IA-32e mode */
};

static uint64_t before[sizeof(fake_vmcs) / sizeof(fake_vmcs[0])];

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

bool mitigate_each_exit(const struct asi *asi)
{
	(void)asi;
	return false;
}

void vmx_exit(void)
{
}

void vmx_exit_flush(void)
{
}

uint8_t *fake_ram_direct, *fake_ram_local;

void *page_alloc(unsigned int order, enum mem_class class, struct mem_owner *owner)
{
	(void)order, (void)class, (void)owner;
	return NULL;
}

const struct guest_cpu *guest_cpu(void)
{
	return NULL;
}

/* ---- tests ---- */

/* A second vCPU that has used everything that there is, in 64-bit mode. */
static int start(void **state)
{
	(void)state;
	lapic_start();
	V->id = ID;
	V->post = &fake_vm.post[ID];
	V->post->running = true;
	fake_vm.nr_vcpus = 2;
	fake_vm.options.cpus = 2;
	lapic_init(V);
	put(LAPIC_SVR, 0x1ff);
	for (size_t i = 0; i < COUNT(fake_vmcs); i++)
		fake_vmcs[i] = GARBAGE;
	vmcs_write(VMCS_CR0_SHADOW, CR0_PE | CR0_PG | CR0_TS);
	vmcs_write(VMCS_ENTRY_CTLS, 0x11 | ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_PROC_CTLS, PROC_HLT_EXIT | PROC_NMI_WINDOW_EXIT);
	fake_control_words[VMX_ENTRY] = 0x11;
	memset(V->regs, 0x77, sizeof(V->regs));
	V->cr2 = V->cr4_guest = V->xcr0 = 0xe7;
	V->cr8 = 5;
	V->events = (struct events){ .exception = true,
				     .nmi = true,
				     .irq = { 1, 2, 3, 4 },
				     .reinject_info = INTR_INFO_VALID | 0x31,
				     .windows = PROC_NMI_WINDOW_EXIT };
	V->state = VCPU_RUNNABLE;
	memset(fake_breakpoints, 0x33, sizeof(fake_breakpoints));
	fake_dr6 = 0x4001;
	memcpy(before, fake_vmcs, sizeof(before));
	return 0;
}

static void check_vmcs(void)
{
	uint64_t want[COUNT(before)];

	memcpy(want, before, sizeof(want));
	for (size_t i = 0; i < COUNT(after_init); i++)
		want[after_init[i].field] = after_init[i].value;
	for (size_t i = 0; i < COUNT(want); i++)
		if (fake_vmcs[i] != want[i])
			fail_msg("field 0x%zx is 0x%lx, not 0x%lx", i, fake_vmcs[i], want[i]);
}

static void test_init(void **state)
{
	(void)state;
	post_init(&fake_vm, ID);
	post_collect(V);
	check_vmcs();
	assert_int_equal(V->state, VCPU_WAITS_FOR_SIPI);
	for (unsigned int i = 0; i < GPR_NR; i++)
		assert_int_equal(V->regs[i], i == RDX ? SIGNATURE : 0);
	assert_int_equal(V->cr2 | V->cr4_guest | V->cr8, 0);
	assert_int_equal(V->xcr0, 0xe7); /* stays, as x87 and SSE state do */
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(fake_breakpoints[i], 0);
	assert_int_equal(fake_dr6, 0xffff0ff0);
	/* Nothing of what was pending comes later; the control that is set in the VMCS is known. */
	assert_false(V->events.exception || V->events.nmi || V->events.reinject_info);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(V->events.irq[i], 0);
	assert_int_equal(V->events.windows, PROC_NMI_WINDOW_EXIT);
	vcpu_deliver_events(V);
	assert_int_equal(vmcs_read32(VMCS_PROC_CTLS), PROC_HLT_EXIT);
	assert_int_equal(vmcs_read32(VMCS_ENTRY_INTR_INFO), 0);
	/* Paging is off: nothing that was cached of it is used any more. */
	assert_int_equal(fake_nr_invvpid, 1);
}

/* CD and NW are not changed. */
static void test_init_keeps_caches(void **state)
{
	(void)state;
	vmcs_write(VMCS_CR0_SHADOW, CR0_PG | CR0_PE | CR0_CD | CR0_NW | CR0_WP);
	post_init(&fake_vm, ID);
	post_collect(V);
	assert_int_equal(vmcs_read(VMCS_CR0_SHADOW), CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0), CR0_ET | CR0_NE);
}

/* As after RESET, but for the ID and the mode; timers are off. */
static void test_init_lapic(void **state)
{
	for (unsigned int mode = 0; mode < 3; mode++) {
		uint64_t base;

		start(state);
		put(LAPIC_TPR, 0x55);
		put(LAPIC_LVT_ERROR, 0x41);
		put(LAPIC_LVT_TIMER, 0x42);
		put(LAPIC_TMICT, 100000);
		put(LAPIC_LDR, 0x44000000);
		put(LAPIC_ICR, ICR_SELF | 0x51);
		get(0x04); /* no such register: an error is noted */
		V->hc_deadline = fake_tsc + 5;
		vcpu_timer_changed(V);
		assert_true(V->timer_deadline && L->regs[LAPIC_IRR + 2][0]);
		if (mode == 1)
			enter_x2();
		else if (mode == 2)
			assert_true(lapic_wrmsr(V, MSR_APIC_BASE, LAPIC_PAGE));
		base = L->base;
		post_init(&fake_vm, ID);
		post_collect(V);
		assert_int_equal(L->base, base);
		assert_int_equal(L->regs[LAPIC_ID][0], mode == 1 ? ID : ID << 24);
		assert_int_equal(L->regs[LAPIC_LDR][0], mode == 1 ? 1 << ID : 0);
		assert_int_equal(L->regs[LAPIC_SVR][0], 0xff);
		assert_int_equal(L->regs[LAPIC_DFR][0], ~0U);
		assert_int_equal(L->regs[LAPIC_TPR][0] | L->regs[LAPIC_IRR + 2][0] | L->errors, 0);
		for (unsigned int lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt++)
			assert_int_equal(L->regs[lvt][0], 0x10000);
		assert_int_equal(V->timer_deadline | V->hc_deadline, 0);
		/* Senders know. */
		assert_int_equal(V->post->svr, 0xff);
		assert_int_equal(V->post->ldr, L->regs[LAPIC_LDR][0]);
		assert_int_equal(V->post->apic_base, base);
		assert_int_equal(V->post->apic_id, ID);
	}
	/* Without a local APIC it is no trouble. */
	start(state);
	V->lapic = NULL;
	post_init(&fake_vm, ID);
	post_collect(V);
	assert_int_equal(V->state, VCPU_WAITS_FOR_SIPI);
}

/* What came before INIT is gone with it, messages too; an interrupt that comes behind it finds the APIC off. */
static void test_init_and_mail(void **state)
{
	(void)state;
	post_irq(&fake_vm, ID, 0x61, false);
	post_init(&fake_vm, ID);
	post_collect(V);
	assert_int_equal(lapic_pending(L), -1);
	post_irq(&fake_vm, ID, 0x61, false);
	post_collect(V);
	assert_int_equal(lapic_pending(L), -1);
	assert_false(post_is_pending(&fake_vm, ID));
}

/* In each state: a start-up IPI counts for one that waits, and there the first does. */
static void test_startup(void **state)
{
	static const enum vcpu_state states[] = { VCPU_RUNNABLE, VCPU_HALTED, VCPU_STOPPED };

	for (size_t i = 0; i < COUNT(states); i++) {
		start(state);
		V->state = states[i];
		post_sipi(&fake_vm, ID, 0x9f);
		post_collect(V);
		assert_int_equal(V->state, states[i]);
		assert_memory_equal(fake_vmcs, before, sizeof(before));
	}
	for (unsigned int vector = 0; vector < 256; vector += 15) {
		start(state);
		V->state = VCPU_WAITS_FOR_SIPI;
		V->events.due = ~0UL;
		post_sipi(&fake_vm, ID, (uint8_t)vector);
		post_collect(V);
		assert_int_equal(V->state, VCPU_RUNNABLE);
		assert_int_equal(V->events.due, 0);
		assert_int_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), vector << 8);
		assert_int_equal(vmcs_read(VMCS_GUEST_CS_BASE), vector << 12);
		assert_int_equal(vmcs_read(VMCS_GUEST_RIP), 0);
		/* The second of the two that software sends. */
		vmcs_write(VMCS_GUEST_RIP, 0x1234);
		post_sipi(&fake_vm, ID, 0x55);
		post_collect(V);
		assert_int_equal(vmcs_read(VMCS_GUEST_RIP), 0x1234);
		assert_int_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), vector << 8);
	}
}

/* INIT and the start-up IPI behind it, together in the post. */
static void test_both(void **state)
{
	(void)state;
	V->state = VCPU_HALTED;
	post_init(&fake_vm, ID);
	post_sipi(&fake_vm, ID, 8);
	post_collect(V);
	assert_int_equal(V->state, VCPU_RUNNABLE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_BASE), 0x8000);
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_LIMIT), 0xffff);
	assert_int_equal(V->regs[RDX], SIGNATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init, start),
		cmocka_unit_test_setup(test_init_keeps_caches, start),
		cmocka_unit_test_setup(test_init_lapic, start),
		cmocka_unit_test_setup(test_init_and_mail, start),
		cmocka_unit_test_setup(test_startup, start),
		cmocka_unit_test_setup(test_both, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
