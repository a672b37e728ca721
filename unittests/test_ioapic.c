/* SPDX-License-Identifier: MIT */
/* vmm/dev/ioapic.c: registers behind their index, edges and levels, who ends what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "vmm/dev/ioapic.h"

#define MASKED	   0x10000u
#define LEVEL	   0x8000u
#define REMOTE_IRR 0x4000u

static struct ioapic io;
static struct lapic_message sent; /* the last one */

static int start(void **state)
{
	(void)state;
	memset(&io, 0, sizeof(io));
	ioapic_init(&io);
	return 0;
}

static uint32_t get(uint8_t reg)
{
	ioapic_write(&io, 0, 4, reg);
	return ioapic_read(&io, 0x10, 4);
}

static void put(uint8_t reg, uint32_t value)
{
	ioapic_write(&io, 0, 4, reg);
	ioapic_write(&io, 0x10, 4, value);
}

static uint32_t low(unsigned int pin)
{
	return get((uint8_t)(0x10 + 2 * pin));
}

static void set_low(unsigned int pin, uint32_t value)
{
	put((uint8_t)(0x10 + 2 * pin), value);
}

/* How many messages there are to be sent, all to somebody who does or does not take them. */
static unsigned int messages_taken(bool taken)
{
	unsigned int n = 0;
	int pin;

	for (; (pin = ioapic_next(&io, &sent)) >= 0; n++)
		ioapic_sent(&io, (unsigned int)pin, taken);
	return n;
}

static unsigned int messages(void)
{
	return messages_taken(true);
}

static void test_registers(void **state)
{
	(void)state;
	assert_int_equal(get(1), 0x00170011);
	put(1, ~0u);
	assert_int_equal(get(1), 0x00170011);
	put(0, ~0u);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(low(pin), MASKED);
		assert_int_equal(get((uint8_t)(0x11 + 2 * pin)), 0);
		put((uint8_t)(0x11 + 2 * pin), ~0u);
		set_low(pin, ~0u);
		/* Delivery status and remote IRR are not written, nor are reserved bits. */
		assert_int_equal(low(pin), 0x1afff);
		assert_int_equal(get((uint8_t)(0x11 + 2 * pin)), 0xff000000);
	}
	for (unsigned int reg = 3; reg < 0x100; reg = reg == 15 ? 0x40 : reg + 1) {
		put((uint8_t)reg, ~0u);
		assert_int_equal(get((uint8_t)reg), 0);
	}
	assert_int_equal(messages(), 0);
}

/* Narrow accesses: a register's bytes are read, IOREGSEL is written by its lowest byte; nothing else is there. */
static void test_widths(void **state)
{
	(void)state;
	ioapic_write(&io, 0, 1, 0x01);
	assert_int_equal(ioapic_read(&io, 0, 1), 1);
	assert_int_equal(ioapic_read(&io, 0x10, 1), 0x11);
	assert_int_equal(ioapic_read(&io, 0x12, 2), 0x17);
	assert_int_equal(ioapic_read(&io, 0x12, 4), 0);
	assert_int_equal(ioapic_read(&io, 0x10, 8), 0);
	ioapic_write(&io, 0, 4, 0x10);
	ioapic_write(&io, 0x10, 2, 0);
	ioapic_write(&io, 0x12, 4, 0);
	ioapic_write(&io, 0x10, 8, 0);
	ioapic_write(&io, 1, 1, 0x20);
	ioapic_write(&io, 0x20, 4, 0);
	assert_int_equal(ioapic_read(&io, 0x10, 4), MASKED);
	assert_int_equal(ioapic_read(&io, 0x20, 4), 0);
	assert_int_equal(ioapic_read(&io, 0xffc, 4), 0);
}

static void test_message(void **state)
{
	(void)state;
	put(0x10 + 2 * 23 + 1, 0x3a000000);
	set_low(23, 0x0931); /* lowest priority, logical */
	ioapic_set(&io, 23, true);
	assert_int_equal(messages(), 1);
	assert_int_equal(sent.dest, 0x3a);
	assert_true(sent.logical && !sent.level);
	assert_int_equal(sent.mode, LAPIC_LOWEST);
	assert_int_equal(sent.vector, 0x31);
	put(0x11, 0xff000000);
	set_low(0, 0x0402); /* NMI to everybody */
	ioapic_set(&io, 0, true);
	assert_int_equal(messages(), 1);
	assert_int_equal(sent.dest, LAPIC_BROADCAST);
	assert_int_equal(sent.mode, LAPIC_NMI);
	assert_false(sent.logical);
	/* Two at once: the lowest pin first. */
	set_low(3, 0x43);
	set_low(9, 0x49);
	ioapic_set(&io, 9, true);
	ioapic_set(&io, 3, true);
	assert_int_equal(ioapic_next(&io, &sent), 3);
	assert_int_equal(messages(), 2);
	assert_int_equal(sent.vector, 0x49);
}

/* Each edge is a message; one behind a mask is lost, polarity has no effect, and nothing has to be ended. */
static void test_edge(void **state)
{
	(void)state;
	assert_false(ioapic_wants(&io, 5));
	ioapic_set(&io, 5, true);
	assert_int_equal(messages(), 0);
	set_low(5, 0x2055);
	assert_true(ioapic_wants(&io, 5));
	assert_int_equal(messages(), 0);
	ioapic_set(&io, 5, true); /* it was asserted already */
	assert_int_equal(messages(), 0);
	for (unsigned int i = 0; i < 3; i++) {
		ioapic_pulse(&io, 5);
		assert_int_equal(messages(), 1);
		assert_int_equal(low(5), 0x2055);
	}
	ioapic_set(&io, 5, false);
	assert_int_equal(messages_taken(false), 0);
	ioapic_set(&io, 5, true);
	assert_int_equal(messages_taken(false), 1); /* nobody wanted it: it is gone */
	assert_int_equal(messages(), 0);
}

/* A level is one message until it has been ended, and one more each time if it is still there. */
static void test_level(void **state)
{
	(void)state;
	ioapic_set(&io, 10, true);
	set_low(10, LEVEL | 0x61);
	assert_false(ioapic_wants(&io, 10));
	assert_int_equal(messages(), 1); /* unlike an edge it is seen when the mask opens */
	assert_true(sent.level);
	assert_int_equal(low(10), LEVEL | REMOTE_IRR | 0x61);
	ioapic_pulse(&io, 10);
	assert_int_equal(messages(), 0);
	ioapic_eoi(&io, 0x62);
	assert_int_equal(messages(), 0);
	ioapic_eoi(&io, 0x61);
	assert_int_equal(messages(), 1);
	/* Ended while it is masked: when the mask opens. */
	set_low(10, LEVEL | MASKED | 0x61);
	assert_int_equal(low(10), LEVEL | MASKED | REMOTE_IRR | 0x61);
	ioapic_eoi(&io, 0x61);
	assert_int_equal(messages(), 0);
	assert_int_equal(low(10), LEVEL | MASKED | 0x61);
	set_low(10, LEVEL | 0x61);
	assert_int_equal(messages(), 1);
	ioapic_set(&io, 10, false);
	ioapic_eoi(&io, 0x61);
	assert_int_equal(messages(), 0);
	assert_int_equal(low(10), LEVEL | 0x61);
}

/* Nobody takes it: no remote IRR that nobody would end; it goes out again at the next occasion. */
static void test_not_taken(void **state)
{
	(void)state;
	set_low(11, LEVEL | 0x71);
	ioapic_set(&io, 11, true);
	assert_int_equal(messages_taken(false), 1);
	assert_int_equal(messages(), 0);
	assert_int_equal(low(11), LEVEL | 0x71);
	ioapic_set(&io, 11, true);
	assert_int_equal(messages(), 1);
	assert_int_equal(low(11), LEVEL | REMOTE_IRR | 0x71);
}

/* Two pins with one vector are ended together. */
static void test_shared_vector(void **state)
{
	(void)state;
	set_low(1, LEVEL | 0x80);
	set_low(2, LEVEL | 0x80);
	ioapic_set(&io, 1, true);
	ioapic_set(&io, 2, true);
	assert_int_equal(messages(), 2);
	ioapic_set(&io, 1, false);
	ioapic_eoi(&io, 0x80);
	assert_int_equal(messages(), 1);
	assert_int_equal(low(1), LEVEL | 0x80);
	assert_int_equal(low(2), LEVEL | REMOTE_IRR | 0x80);
}

/* How systems end an interrupt without an EOI register: edge-triggered and masked for a moment. */
static void test_end_by_entry(void **state)
{
	(void)state;
	set_low(7, LEVEL | 0x90);
	ioapic_set(&io, 7, true);
	assert_int_equal(messages(), 1);
	set_low(7, MASKED | 0x90);
	assert_int_equal(low(7), MASKED | 0x90);
	set_low(7, LEVEL | 0x90);
	assert_int_equal(messages(), 1);
	/* The upper half leaves remote IRR alone. */
	put(0x11 + 2 * 7, 0x01000000);
	assert_int_equal(low(7), LEVEL | REMOTE_IRR | 0x90);
	assert_int_equal(messages(), 0);
	/* What has not been sent by the time that the entry changes never is. */
	set_low(8, 0x91);
	ioapic_set(&io, 8, true);
	set_low(8, MASKED | 0x91);
	assert_int_equal(messages(), 0);
}

static void test_reset(void **state)
{
	(void)state;
	set_low(4, LEVEL | 0x44);
	ioapic_set(&io, 4, true);
	put(0, 0x05000000);
	ioapic_init(&io);
	assert_int_equal(low(4), MASKED);
	assert_int_equal(get(0), 0);
	assert_int_equal(messages(), 0);
	set_low(4, LEVEL | 0x44); /* its line is still asserted */
	assert_int_equal(messages(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, start),
		cmocka_unit_test_setup(test_widths, start),
		cmocka_unit_test_setup(test_message, start),
		cmocka_unit_test_setup(test_edge, start),
		cmocka_unit_test_setup(test_level, start),
		cmocka_unit_test_setup(test_not_taken, start),
		cmocka_unit_test_setup(test_shared_vector, start),
		cmocka_unit_test_setup(test_end_by_entry, start),
		cmocka_unit_test_setup(test_reset, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
