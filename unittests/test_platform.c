/* SPDX-License-Identifier: MIT */
/*
 * vmm/platform.c, ports.c and com1.c together: ports of every kind, COM1's interrupts, the timer's through the PIC to the
 * vCPU, and what of it costs an exit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "lib/log.h"
#include "unittests/fake/vmx.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"
#include "vmm/ports.h"
#include "vmm/post.h"

#define V	 (&fake_vcpu)
#define VM	 (&fake_vm)
#define PC	 (&fake_vm.platform)
#define TSC_HZ	 (tsc_khz() * 1000)
#define CLOCK(n) ((n)*TSC_HZ / PIT_HZ + 1) /* TSC ticks in which n clocks have passed for sure */

static struct mem_owner owner = { .id = 1 };
static char console[8192];

void console_write(const char *text, size_t len)
{
	strncat(console, text, len);
}

/* With what the exit path does behind the access. */
static void out(uint16_t port, uint8_t value)
{
	assert_true(port_out(VM, port, 1, value));
	post_collect(V);
}

static uint8_t in(uint16_t port)
{
	uint8_t value = (uint8_t)port_in(VM, port, 1);

	post_collect(V);
	return value;
}

/* Vectors 0x20 and 0x28; the timer and COM1 unmasked. */
static int start(void **state)
{
	static const uint8_t icws[] = { 0x11, 0x20, 4, 1 };

	(void)state;
	fake_vcpu_reset();
	memset(console, 0, sizeof(console));
	fake_tsc = 123456789;
	strcpy(fake_vm.options.name, "t");
	fake_vm.owner = &owner;
	fake_vm.options.cpus = 3;
	fake_vm.ram_bytes = 64 << 20;
	platform_start(VM);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	for (unsigned int i = 0; i < 4; i++) {
		out(i ? 0x21 : 0x20, icws[i]);
		out(i ? 0xa1 : 0xa0, i == 1 ? 0x28 : icws[i]);
	}
	out(0x21, 0xee);
	return 0;
}

/* What the next VM entry delivers: a vector, or -1. */
static int delivered(void)
{
	uint32_t info;

	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vcpu_deliver_events(V);
	info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	return info & INTR_INFO_VALID ? (int)(info & INTR_INFO_VECTOR_MASK) : -1;
}

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
	struct lapic lapic;

	(void)state;
	V->lapic = &lapic;
	lapic_init(V);
	program_timer(2, 10);
	pass(CLOCK(10));
	assert_int_equal(delivered(), 0x20); /* as firmware leaves it */
	serve_timer();
	pass(CLOCK(10));
	lapic.regs[LAPIC_LVT_LINT0] = 0x10700;
	assert_int_equal(delivered(), -1);
	lapic.regs[LAPIC_LVT_LINT0] = 0x400;
	assert_int_equal(delivered(), -1);
	assert_false(inject_can_wake(V));
	lapic.base = 0xfee00100;
	assert_true(inject_can_wake(V));
	assert_int_equal(delivered(), 0x20);
}

/* ---- COM1 ---- */

static void test_com1_transmit(void **state)
{
	(void)state;
	out(0x3fc, 0x0b);
	assert_int_equal(in(0x3fa), 0x01);
	V->events.due = ~0UL;
	out(0x3f9, 2);			    /* enabling it raises it: the transmitter is empty */
	assert_int_equal(V->events.due, 0); /* the exit path looks */
	assert_int_equal(delivered(), 0x24);
	assert_int_equal(in(0x3fa), 0x02);
	assert_int_equal(in(0x3fa), 0x01); /* once read it is gone */
	out(0x20, 0x64);
	assert_int_equal(delivered(), -1);
	out(0x3f8, 'x'); /* sent at once: the next one */
	assert_int_equal(delivered(), 0x24);
	out(0x3f8, 'y'); /* and another edge while that is in service */
	out(0x20, 0x64);
	assert_int_equal(delivered(), 0x24);
	out(0x20, 0x64);
	out(0x3f9, 0);
	assert_int_equal(delivered(), -1);
	out(0x3f8, '\n');
	assert_string_equal(console, "[t] xy\n");
	/* OUT2 gates it. */
	out(0x3fc, 0);
	out(0x3f9, 2);
	assert_int_equal(delivered(), -1);
	assert_int_equal(in(0x3fa), 0x02);
	out(0x3f8, 'z');
	out(0x3fc, 8);
	assert_int_equal(delivered(), 0x24);
}

static void type(uint8_t byte)
{
	assert_true(com1_receive(VM, byte));
}

/* One byte at a time without FIFOs: each is an edge, and none is lost, however late it is read. */
static void test_com1_receive(void **state)
{
	(void)state;
	out(0x3fc, 0x08);
	out(0x3f9, 5);
	type('a');
	assert_int_equal(delivered(), 0x24);
	assert_int_equal(in(0x3fa), 0x04);
	assert_int_equal(in(0x3fd), 0x61);
	type('b'); /* there is room for one: it waits */
	assert_int_equal(in(0x3fd), 0x61);
	out(0x20, 0x64);
	assert_int_equal(delivered(), -1);
	assert_int_equal(in(0x3f8), 'a');
	assert_int_equal(delivered(), 0x24);
	assert_int_equal(in(0x3fd), 0x61);
	assert_int_equal(in(0x3f8), 'b');
	assert_int_equal(in(0x3fd), 0x60);
	assert_int_equal(in(0x3f8), 0);
	out(0x20, 0x64);
	assert_int_equal(delivered(), -1);
}

/* FIFOs: 16 bytes, in order, with a trigger level; what the guest clears is its own affair, what waits is not. */
static void test_com1_fifo(void **state)
{
	(void)state;
	out(0x3fc, 0x08);
	out(0x3f9, 5);
	out(0x3fa, 0x81);
	for (unsigned int i = 0; i < 20; i++) {
		type((uint8_t)(0x30 + i));
		assert_int_equal(in(0x3fa), i < 7 ? 0xcc : 0xc4);
	}
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(in(0x3fd), 0x61);
		assert_int_equal(in(0x3f8), 0x30 + i);
	}
	assert_int_equal(in(0x3fa), 0xc1);
	type('c');
	out(0x3fa, 0x83); /* cleared */
	assert_int_equal(in(0x3fd), 0x60);
	type('d');
	type('e');
	out(0x3fa, 0x00); /* without FIFOs again: what was in it is gone */
	assert_int_equal(in(0x3fd), 0x60);
}

/* As many as can wait do, and no more are taken until the guest reads; all come out, in order, around the end of the ring. */
static void test_com1_full(void **state)
{
	unsigned int typed = 0, read = 0;

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		while (com1_receive(VM, (uint8_t)typed))
			typed++;
		assert_int_equal(typed - read, COM1_LINE + 1); /* one in the receiver */
		for (unsigned int i = 0; i < 700; i++)
			assert_int_equal(in(0x3f8), (uint8_t)read++);
	}
	while (in(0x3fd) & 1)
		assert_int_equal(in(0x3f8), (uint8_t)read++);
	assert_int_equal(read, typed);
}

/* In loopback mode nothing comes in from outside, and nothing of it is lost; that receiver can overrun. */
static void test_com1_loopback(void **state)
{
	(void)state;
	out(0x3fc, 0x10);
	type('a');
	assert_int_equal(in(0x3fd), 0x60);
	out(0x3f8, 'x');
	out(0x3f8, 'y');
	assert_int_equal(in(0x3fd), 0x63);
	assert_int_equal(in(0x3fd), 0x61); /* told once */
	assert_int_equal(in(0x3f8), 'x');
	assert_int_equal(in(0x3fd), 0x60);
	out(0x3fc, 0x08);
	assert_int_equal(in(0x3f8), 'a');
}

static void send(const char *text)
{
	for (; *text; text++)
		out(0x3f8, (uint8_t)*text);
}

/* While somebody types, text is shown as it comes, behind the name; a backspace does not go over that. */
static void test_com1_attached(void **state)
{
	(void)state;
	send("log");
	assert_string_equal(console, "");
	com1_attach(VM, true);
	assert_string_equal(console, "[t] log");
	send("in: a\b \b\x1b");
	assert_string_equal(console, "[t] login: a\b \b\\x1b");
	send("\r\n\b");
	assert_string_equal(console, "[t] login: a\b \b\\x1b\r\n");
	send("x\b\b\b");
	assert_string_equal(console, "[t] login: a\b \b\\x1b\r\n[t] x\b");
	send("\n");
	console[0] = 0;
	for (unsigned int i = 0; i < 500; i++)
		send("0123456789"); /* a row has an end */
	for (const char *row = console; strlen(row) > 250; row = strchr(row, '\n') + 1) {
		assert_memory_equal(row, "[t] 0", 5);
		assert_in_range(strchr(row, '\n') - row, 100, 250);
	}
	com1_attach(VM, false);
	console[0] = 0;
	send("rest\n");
	assert_string_equal(console, "[t] rest\n");
}

/* Only where somebody may type, and the guest has opened all the gates. */
static void test_com1_may_wake(void **state)
{
	(void)state;
	out(0x3fc, 0x08);
	out(0x3f9, 1);
	assert_false(VM->com1.may_wake);
	VM->com1.connected = true;
	out(0x3f9, 1);
	assert_true(VM->com1.may_wake);
	out(0x3fc, 0x00);
	assert_false(VM->com1.may_wake);
	out(0x3fc, 0x18);
	assert_false(VM->com1.may_wake);
	out(0x3fc, 0x08);
	assert_true(VM->com1.may_wake);
	out(0x3f9, 2);
	assert_false(VM->com1.may_wake);
	VM->com1.connected = false;
}

static void test_com1_modem(void **state)
{
	(void)state;
	out(0x3fc, 0x08);
	out(0x3f9, 8);
	assert_int_equal(in(0x3fe), 0xb0);
	out(0x3fc, 0x10); /* into loopback: all inputs fall */
	assert_int_equal(in(0x3fa), 0x00);
	assert_int_equal(in(0x3fe), 0x0b);
	assert_int_equal(in(0x3fe), 0x00);
	out(0x3fc, 0x1f);
	assert_int_equal(in(0x3fe), 0xfb); /* the ring tells its end only */
	out(0x3fc, 0x1b);
	assert_int_equal(in(0x3fe), 0xb4);
	assert_int_equal(delivered(), -1); /* the gate is closed in loopback mode */
	/* Bytes sent come back. */
	out(0x3fa, 0x01);
	out(0x3f8, 1);
	out(0x3f8, 2);
	assert_int_equal(in(0x3f8), 1);
	assert_int_equal(in(0x3f8), 2);
	assert_string_equal(console, "");
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
	assert_int_equal(port_in(VM, 0xcfc, 4), 0xffffffff);
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

		if (port == 0xf4)
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
		cmocka_unit_test_setup(test_com1_transmit, start),
		cmocka_unit_test_setup(test_com1_receive, start),
		cmocka_unit_test_setup(test_com1_fifo, start),
		cmocka_unit_test_setup(test_com1_full, start),
		cmocka_unit_test_setup(test_com1_loopback, start),
		cmocka_unit_test_setup(test_com1_attached, start),
		cmocka_unit_test_setup(test_com1_may_wake, start),
		cmocka_unit_test_setup(test_com1_modem, start),
		cmocka_unit_test_setup(test_ports, start),
		cmocka_unit_test_setup(test_resets, start),
		cmocka_unit_test_setup(test_no_platform, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
