/* SPDX-License-Identifier: MIT */
/*
 * platform=apic on vmm/platform.c and ports.c: the timer's and COM1's lines by the I/O APIC to the local APIC and back by its
 * EOI, beside the PIC; ACPI's registers behind their ports.
 */
#include "unittests/lapic.h"
#include <string.h>
#include "arch/insn.h"
#include "arch/tsc.h"
#include "lib/log.h"
#include "unittests/guest_ram.h"
#include "vmm/ports.h"

#define VM	 (&fake_vm)
#define PC	 (&fake_vm.platform)
#define TSC_HZ	 (tsc_khz() * 1000)
#define CLOCK(n) ((n)*TSC_HZ / PIT_HZ + 1) /* TSC ticks in which n clocks have passed for sure */
#define MASKED	 0x10000u
#define LEVEL	 0x8000u
#define EDGE_MIN 5000

void console_write(const char *text, size_t len)
{
	(void)text, (void)len;
}

static void out(uint16_t port, uint8_t value)
{
	assert_true(port_out(VM, port, 1, value));
	post_collect(V);
}

/* The redirection entry of @pin, to the first vCPU. */
static void set_pin(unsigned int pin, uint32_t low)
{
	platform_mmio_write(VM, IOAPIC_PAGE, 4, 0x10 + 2 * pin);
	platform_mmio_write(VM, IOAPIC_PAGE + 0x10, 4, low);
	post_collect(V);
}

static uint32_t pin_low(unsigned int pin)
{
	platform_mmio_write(VM, IOAPIC_PAGE, 4, 0x10 + 2 * pin);
	return platform_mmio_read(VM, IOAPIC_PAGE + 0x10, 4);
}

static void pass(uint64_t ticks)
{
	fake_tsc += ticks;
	vcpu_check_timer(V, fake_tsc);
}

static void program_timer(uint16_t count)
{
	out(0x43, 0x34);
	out(0x40, (uint8_t)count);
	out(0x40, (uint8_t)(count >> 8));
}

static int start_with(enum vm_platform platform)
{
	lapic_start();
	fake_tsc = 123456789;
	fake_vm.ram_bytes = 64 << 20;
	fake_vm.options.platform = platform;
	platform_start(VM);
	put(LAPIC_SVR, 0x1ff);
	return 0;
}

static int start(void **state)
{
	(void)state;
	return start_with(VM_PLATFORM_APIC);
}

static void test_page(void **state)
{
	(void)state;
	assert_true(platform_has_page(VM, 0xfec00000));
	assert_true(platform_has_page(VM, 0xfec00fff));
	assert_false(platform_has_page(VM, 0xfec01000));
	assert_false(platform_has_page(VM, 0xfebfffff));
	platform_mmio_write(VM, IOAPIC_PAGE, 4, 0);
	assert_int_equal(platform_mmio_read(VM, IOAPIC_PAGE + 0x10, 4), 0x08000000);
	start_with(VM_PLATFORM_PIC);
	assert_false(platform_has_page(VM, 0xfec00000));
}

/* A hundred periods by pin 2, each at its time, while the PIC masks everything. */
static void test_timer(void **state)
{
	uint64_t begin;

	(void)state;
	program_timer(1193);
	begin = fake_tsc;
	assert_int_equal(V->timer_deadline, 0); /* nobody listens */
	set_pin(2, 0x51);
	for (uint64_t i = 1; i <= 100; i++) {
		assert_true(V->timer_deadline > fake_tsc);
		assert_int_equal(delivered(), -1);
		pass(V->timer_deadline - fake_tsc);
		assert_true(fake_tsc - begin <= CLOCK(i * 1193) &&
			    fake_tsc - begin >= (i * 1193 - 1) * TSC_HZ / PIT_HZ);
		assert_int_equal(delivered(), 0x51);
		put(LAPIC_EOI, 0);
	}
	set_pin(2, MASKED | 0x51);
	platform_halted(V);
	assert_int_equal(V->timer_deadline, 0);
	/* Edges behind the mask are lost. */
	fake_tsc += CLOCK(5000);
	set_pin(2, 0x51);
	assert_int_equal(delivered(), -1);
	assert_true(V->timer_deadline > fake_tsc);
}

/* Its output as a level: high from the start, until a control word sets it low. */
static void test_timer_level(void **state)
{
	(void)state;
	set_pin(2, LEVEL | 0x52);
	assert_int_equal(delivered(), 0x52);
	put(LAPIC_EOI, 0);
	assert_int_equal(delivered(), 0x52);
	out(0x43, 0x30);
	put(LAPIC_EOI, 0);
	assert_int_equal(delivered(), -1);
}

/* However fast it is programmed, the guest gets on in between. */
static void test_fast_timer(void **state)
{
	(void)state;
	set_pin(2, 0x51);
	program_timer(2);
	for (unsigned int i = 0; i < 10; i++) {
		pass(V->timer_deadline - fake_tsc);
		assert_int_equal(delivered(), 0x51);
		put(LAPIC_EOI, 0);
		assert_int_equal(V->timer_deadline, fake_tsc + EDGE_MIN);
	}
}

/* Both controllers listen: one edge is an interrupt of each. One that comes while the PIC's is acknowledged is not lost. */
static void test_both(void **state)
{
	static const uint8_t icws[] = { 0x11, 0x20, 4, 1 };

	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		out(i ? 0x21 : 0x20, icws[i]);
	out(0x21, 0xfe);
	set_pin(2, 0x51);
	program_timer(1000);
	pass(CLOCK(1000));
	fake_tsc += CLOCK(1000);
	assert_int_equal(delivered(), 0x20);
	assert_true(V->timer_deadline && V->timer_deadline <= fake_tsc);
	assert_int_equal(delivered(), 0x51);
	put(LAPIC_EOI, 0);
	out(0x20, 0x60);
	pass(0);
	assert_int_equal(delivered(), 0x20);
	assert_int_equal(delivered(), 0x51);
	assert_true(V->timer_deadline > fake_tsc);
}

/* A line that stays asserted interrupts again at each EOI, and no more once it is released. */
static void test_level(void **state)
{
	(void)state;
	set_pin(4, LEVEL | 0x62);
	out(0x3fc, 8);
	out(0x3f9, 2); /* the transmitter is empty */
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(delivered(), 0x62);
		assert_int_equal(delivered(), -1);
		assert_int_equal(get(LAPIC_TMR + 3), 1 << 2);
		assert_int_equal(pin_low(4) & 0x4000, 0x4000);
		put(LAPIC_EOI, 0);
	}
	assert_int_equal(delivered(), 0x62);
	assert_int_equal(port_in(VM, 0x3fa, 1), 2); /* IIR: served */
	put(LAPIC_EOI, 0);
	assert_int_equal(delivered(), -1);
	assert_int_equal(pin_low(4), LEVEL | 0x62);
	/* An edge-triggered interrupt is nothing to the I/O APIC when it ends. */
	out(0x3f8, 'x');
	assert_int_equal(delivered(), 0x62);
	lapic_request(V, 0x62, false);
	put(LAPIC_EOI, 0);
	assert_int_equal(delivered(), 0x62);
	put(LAPIC_EOI, 0);
	assert_int_equal(pin_low(4) & 0x4000, 0x4000);
	assert_int_equal(delivered(), -1);
}

/* To another vCPU: into its post. */
static void test_other_vcpu(void **state)
{
	(void)state;
	VM->nr_vcpus = 2;
	VM->post[1] = VM->post[0];
	VM->post[1].apic_id = 1;
	VM->post[1].cpu = 5;
	platform_mmio_write(VM, IOAPIC_PAGE, 4, 0x11 + 2 * 4);
	platform_mmio_write(VM, IOAPIC_PAGE + 0x10, 4, 1 << 24);
	set_pin(4, 0x63);
	out(0x3fc, 8);
	fake_kicked = 0;
	out(0x3f9, 2);
	assert_int_equal(fake_kicked, 1UL << 5);
	assert_int_equal(delivered(), -1);
	assert_true(post_is_pending(VM, 1));
	assert_int_equal(VM->post[1].irr[1], 1UL << (0x63 - 64));
}

static void test_power(void **state)
{
	(void)state;
	assert_int_equal(port_in(VM, 0x608, 4), 0);
	fake_tsc += 3 * TSC_HZ;
	assert_int_equal(port_in(VM, 0x608, 4), 3 * 3579545 & 0xffffff);
	assert_int_equal(port_in(VM, 0x600, 2), 1);
	assert_true(port_out(VM, 0x600, 2, 1));
	assert_int_equal(port_in(VM, 0x600, 2), 0);
	assert_int_equal(port_in(VM, 0x604, 2), 1);
	assert_true(port_out(VM, 0x604, 2, 0x1400));
	assert_int_equal(VM->verdict, VERDICT_NONE);
	assert_false(port_out(VM, 0x604, 2, 0x3400));
	assert_int_equal(VM->verdict, VERDICT_PASS);
	assert_string_equal(VM->reason, "power-off");
	assert_int_equal(fake_nr_unserved, 0);
	/* Not there with platform=pic. */
	start_with(VM_PLATFORM_PIC);
	assert_int_equal(port_in(VM, 0x608, 4), ~0u);
	assert_true(port_out(VM, 0x604, 2, 0x3400));
	assert_int_equal(fake_nr_unserved, 2);
	assert_int_equal(VM->verdict, VERDICT_NONE);
}

static void test_mark(void **state)
{
	(void)state;
	assert_true(port_out(VM, 0xf5, 4, 0x12345678));
	assert_int_equal(fake_mark, 0x12345678);
	assert_int_equal(port_in(VM, 0xf5, 1), 0xff);
	assert_int_equal(fake_nr_unserved, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_page, start),
		cmocka_unit_test_setup(test_timer, start),
		cmocka_unit_test_setup(test_timer_level, start),
		cmocka_unit_test_setup(test_fast_timer, start),
		cmocka_unit_test_setup(test_both, start),
		cmocka_unit_test_setup(test_level, start),
		cmocka_unit_test_setup(test_other_vcpu, start),
		cmocka_unit_test_setup(test_power, start),
		cmocka_unit_test_setup(test_mark, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
