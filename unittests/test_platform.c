/* SPDX-License-Identifier: MIT */
/*
 * vmm/platform.c, ports.c and com1.c together: ports of every kind, COM1's interrupts, the timer's through the PIC to the
 * vCPU, and what of it costs an exit.
 */
#include "unittests/platform.h"

static void pass(uint64_t ticks)
{
	fake_tsc += ticks;
	vcpu_check_timer(V, fake_tsc);
}

static void program_timer(unsigned int mode, uint16_t count)
{
	out(0x43, (uint8_t)(0x30 | mode << 1));
	out(0x40, (uint8_t)count);
	out(0x40, (uint8_t)(count >> 8));
}

/* A tick of a system: masked and ended, served, unmasked. */
static void serve_timer(void)
{
	out(0x21, 0xef);
	out(0x20, 0x60);
	out(0x21, 0xee);
}

/* From the programming of a count to its interrupt, and no TSC tick earlier. */
static void test_one_shot(void **state)
{
	(void)state;
	for (unsigned int mode = 0; mode <= 4; mode += 4) {
		uint64_t begin, count = mode ? 1000 : 1001;

		start(NULL);
		begin = fake_tsc;
		V->events.due = ~0UL;
		program_timer(mode, 1000 - (mode == 4) + (mode == 0));
		assert_int_equal(V->events.due, 0); /* the preemption timer is to be set */
		assert_true(V->timer_deadline > begin + (count - 1) * TSC_HZ / PIT_HZ);
		assert_true(V->timer_deadline <= begin + CLOCK(count));
		pass(V->timer_deadline - begin - 1);
		assert_int_equal(delivered(), -1);
		pass(1);
		assert_int_equal(V->timer_deadline, 0);
		assert_int_equal(delivered(), 0x20);
		serve_timer();
		pass(TSC_HZ);
		assert_int_equal(delivered(), -1);
	}
}

/* A thousand ticks in a row keep time with the TSC to the clock. */
static void test_periodic(void **state)
{
	uint64_t begin = fake_tsc;

	for (unsigned int mode = 2; mode <= 3; mode++) {
		start(state);
		begin = fake_tsc;
		program_timer(mode, 1193);
		for (uint64_t i = 1; i <= 1000; i++) {
			assert_true(V->timer_deadline > fake_tsc);
			pass(V->timer_deadline - fake_tsc);
			assert_true(fake_tsc - begin <= CLOCK(i * 1193) &&
				    fake_tsc - begin >= (i * 1193 - 1) * TSC_HZ / PIT_HZ);
			assert_int_equal(delivered(), 0x20);
			serve_timer();
			assert_int_equal(delivered(), -1);
		}
	}
}

/* While one is pending no further edge is waited for: what is missed is one. */
static void test_missed(void **state)
{
	(void)state;
	program_timer(2, 100);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	pass(CLOCK(100));
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(delivered(), -1);
	pass(CLOCK(950));
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(delivered(), 0x20);
	serve_timer();
	assert_int_equal(delivered(), -1);
	assert_true(V->timer_deadline > fake_tsc && V->timer_deadline <= fake_tsc + CLOCK(100));
	/* A control word that sets the output low takes a request back. */
	pass(CLOCK(100));
	program_timer(0, 1000);
	assert_int_equal(delivered(), -1);
}

/* A masked timer costs no exit, but is remembered. */
static void test_masked(void **state)
{
	(void)state;
	out(0x21, 0xef);
	program_timer(2, 100);
	fake_tsc += CLOCK(250);
	out(0x20, 0x0a);
	assert_int_equal(in(0x20) & 1, 1);
	platform_halted(V);
	assert_int_equal(V->timer_deadline, 0);
	assert_int_equal(delivered(), -1);
	out(0x21, 0xee);
	assert_int_equal(delivered(), 0x20);
	/* A mask that comes and goes with each interrupt leaves the deadline as it is. */
	serve_timer();
	V->events.due = ~0UL;
	out(0x21, 0xef);
	out(0x21, 0xee);
	assert_int_equal(V->events.due, ~0UL);
	/* Halting with a mask: it will not wake. Its deadline, passed or to come, is none then. */
	out(0x21, 0xef);
	assert_true(V->timer_deadline);
	platform_halted(V);
	assert_int_equal(V->timer_deadline, 0);
	assert_false(inject_can_wake(V));
}

static void test_other_timers(void **state)
{
	(void)state;
	program_timer(2, 1000);
	V->hc_deadline = fake_tsc + 10;
	V->hc_vector = 0x99;
	vcpu_timer_changed(V);
	assert_int_equal(V->timer_deadline, fake_tsc + 10);
	pass(10);
	assert_int_equal(V->timer_deadline, PC->deadline);
	assert_int_equal(delivered(), 0x99);
	pass(CLOCK(1000));
	assert_int_equal(delivered(), 0x20);
}

/* Only the first vCPU has a PIC before it; without a platform nobody has. */
static void test_wires(void **state)
{
	struct vcpu other = { .vm = VM, .id = 1 };

	(void)state;
	program_timer(2, 10);
	pass(CLOCK(10));
	assert_true(platform_interrupts(V));
	assert_false(platform_interrupts(&other));
	assert_int_equal(platform_deadline(&other), 0);
	platform_expire(&other, ~0UL);
	platform_halted(&other);
	PC->present = false;
	assert_false(platform_interrupts(V));
	assert_int_equal(platform_deadline(V), 0);
	PC->pic.intr = false;
	out(0x3fc, 8);
	out(0x3f9, 2); /* COM1 has an interrupt then, and no line for it */
	assert_int_equal(in(0x3fa), 2);
	assert_false(PC->pic.intr);
}

/* Another vCPU's access on another CPU: the first one finds it in its post, is kicked, and woken where it halts. */
static void test_other_vcpu(void **state)
{
	uint64_t before = V->timer_deadline;

	(void)state;
	VM->nr_vcpus = 2;
	V->post->cpu = 5;
	V->post->running = false;
	assert_true(port_out(VM, 0x43, 1, 0x34));
	assert_true(port_out(VM, 0x40, 1, 0xe8));
	assert_true(port_out(VM, 0x40, 1, 3));
	assert_int_equal(V->timer_deadline, before); /* its own to set */
	assert_int_equal(fake_kicked, 1UL << 5);
	assert_int_equal(fake_asked, 1UL << 5);
	assert_true(post_is_pending(VM, 0));
	post_collect(V);
	assert_int_equal(V->timer_deadline, PC->deadline);
	fake_kicked = 0;
	assert_true(port_out(VM, 0x3fc, 1, 8));
	assert_int_equal(fake_kicked, 0); /* nothing for it */
	assert_true(port_out(VM, 0x3f9, 1, 2));
	assert_int_equal(fake_kicked, 1UL << 5);
	assert_true(inject_can_wake(V));
	assert_int_equal(delivered(), 0x24);
}

/* With a local APIC: while it is off, or by LINT0 as ExtINT; before the APIC's own. */
static void test_extint(void **state)
{
	uint32_t regs[LAPIC_REGS_NR][4];
	struct lapic lapic = { .regs = regs };

	(void)state;
	V->lapic = &lapic;
	lapic_init(V);
	program_timer(2, 10);
	pass(CLOCK(10));
	assert_int_equal(delivered(), 0x20); /* as firmware leaves it */
	serve_timer();
	pass(CLOCK(10));
	regs[LAPIC_LVT_LINT0][0] = 0x10700;
	assert_int_equal(delivered(), -1);
	regs[LAPIC_LVT_LINT0][0] = 0x400;
	assert_int_equal(delivered(), -1);
	assert_false(inject_can_wake(V));
	lapic.base = 0xfee00100;
	assert_true(inject_can_wake(V));
	assert_int_equal(delivered(), 0x20);
}

/* ---- ports ---- */

static void test_ports(void **state)
{
	(void)state;
	out(0x70, 0x0f);
	out(0x71, 0x5a);
	assert_int_equal(in(0x71), 0x5a);
	assert_true(port_out(VM, 0x70, 2, 0xa510)); /* index and data at once */
	assert_int_equal(in(0x71), 0xa5);
	assert_int_equal(in(0x70), 0xff);
	fake_tsc += 5 * TSC_HZ;
	out(0x70, 0);
	assert_int_equal(in(0x71), 5);
	assert_true(port_out(VM, 0xcf8, 4, 0x80000000));
	assert_int_equal(port_in(VM, 0xcf8, 4), 0x80000000);
	assert_int_equal(port_in(VM, 0xcf8, 2), 0xffff);
	assert_int_equal(port_in(VM, 0xcfc, 4), 0x00081b36);
	assert_true(port_out(VM, 0x510, 2, 5));
	assert_int_equal(port_in(VM, 0x511, 1), 3);
	assert_int_equal(port_in(VM, 0x510, 1), 0);
	assert_true(port_out(VM, 0x510, 1, 3)); /* a byte selects nothing */
	assert_true(port_out(VM, 0x511, 1, 3));
	assert_true(port_out(VM, 0x3d4, 2, 0x120e));
	assert_int_equal(in(0x3d5), 0x12);
	assert_int_equal(in(0x92), 2);
	out(0x92, 0xfe);
	assert_int_equal(in(0x92), 2);
	assert_int_equal(in(0xe9), 0xe9);
	out(0xe9, 'e');
	out(0x3f8, '9');
	out(0xe9, '\n');
	assert_string_equal(console, "[t] e9\n");
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(port_in(VM, 0x4d0, 2), 0xdef8);
	out(0x61, 3);
	assert_int_equal(in(0x61) & 0x0f, 3);
	assert_int_equal(in(0x43), 0xff);
	assert_int_equal(fake_nr_unserved, 0);
	/* What a PC may lack is not worth a line, what nobody has is. */
	out(0x80, 1);
	assert_int_equal(port_in(VM, 0x80, 4), 0xffffffff);
	assert_int_equal(in(0x64), 0xff);
	assert_int_equal(in(0x60), 0xff);
	assert_int_equal(in(0x2f8), 0xff);
	out(0x3c0, 1);
	assert_int_equal(fake_nr_unserved, 0);
	assert_int_equal(in(0x1f7), 0xff);
	out(0xd00, 1);
	assert_int_equal(port_in(VM, 0xffff, 4), 0xffffffff);
	assert_int_equal(fake_nr_unserved, 3);
}

static void test_resets(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t value;
		bool resets;
	} cases[] = { { 0x64, 0xfe, true }, { 0x64, 0xff, false }, { 0x92, 3, true },
		      { 0x92, 2, false },   { 0xcf9, 6, true },	   { 0xcf9, 2, false } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(state);
		assert_int_equal(port_out(VM, cases[i].port, 1, cases[i].value), !cases[i].resets);
		assert_int_equal(fake_vm.verdict, cases[i].resets ? VERDICT_STOPPED : VERDICT_NONE);
		if (cases[i].resets)
			assert_string_equal(fake_vm.reason, "reset");
	}
}

/* Without a platform: COM1 and the exit port, and nobody else. */
static void test_no_platform(void **state)
{
	unsigned int served = 0;

	(void)state;
	PC->present = false;
	for (uint32_t port = 0; port < 0x10000; port++) {
		unsigned int before = fake_nr_unserved;

		if (port == 0xf4 || port == 0xf5)
			continue;
		if (port < COM1_BASE || port >= COM1_BASE + COM1_NR)
			assert_int_equal(port_in(VM, (uint16_t)port, 1), 0xff);
		assert_true(port_out(VM, (uint16_t)port, 1, 0xff));
		served += fake_nr_unserved == before;
	}
	assert_int_equal(served, COM1_NR);
	assert_false(port_out(VM, 0xf4, 4, 0x80000000));
	assert_int_equal(fake_vm.code, 0x80000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_shot, start),
		cmocka_unit_test_setup(test_periodic, start),
		cmocka_unit_test_setup(test_missed, start),
		cmocka_unit_test_setup(test_masked, start),
		cmocka_unit_test_setup(test_other_timers, start),
		cmocka_unit_test_setup(test_wires, start),
		cmocka_unit_test_setup(test_other_vcpu, start),
		cmocka_unit_test_setup(test_extint, start),
		cmocka_unit_test_setup(test_ports, start),
		cmocka_unit_test_setup(test_resets, start),
		cmocka_unit_test_setup(test_no_platform, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
