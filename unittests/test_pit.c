/* SPDX-License-Identifier: MIT */
/* vmm/dev/pit.c: the 8254's modes, clock by clock, and how its counts are written and read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "unittests/seed.h"
#include "vmm/dev/pit.h"

#define SPEAKER 2

static struct pit pit;
static uint64_t now;

static int reset(void **state)
{
	(void)state;
	now = 1000;
	pit_init(&pit, now);
	return 0;
}

static void write(unsigned int reg, uint8_t value)
{
	pit_write(&pit, reg, value, now);
}

static uint8_t read(unsigned int reg)
{
	return pit_read(&pit, reg, now);
}

static uint16_t read16(unsigned int channel)
{
	uint16_t low = read(channel);

	return (uint16_t)(low | read(channel) << 8);
}

/* Both bytes, binary. */
static void program(unsigned int channel, unsigned int mode, uint16_t count)
{
	write(PIT_CONTROL, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	write(channel, (uint8_t)count);
	write(channel, (uint8_t)(count >> 8));
}

/* The output at each of the next clocks, as a text; time goes on by as many. */
static void check_out(unsigned int channel, const char *expected)
{
	for (; *expected; expected++, now++)
		if (pit_out(&pit, channel, now) != (*expected == '-'))
			fail_msg("clock %lu: not %c", now, *expected);
}

/* Against the output itself: the next rise is where it is first high after being low, looked at clock by clock. */
static void check_rise(unsigned int channel, uint64_t within)
{
	uint64_t rise = pit_next_rise(&pit, channel, now);
	bool before = pit_out(&pit, channel, now), out;

	for (uint64_t clock = now + 1; clock <= now + within; clock++, before = out) {
		out = pit_out(&pit, channel, clock);
		if (out && !before) {
			assert_int_equal(rise, clock);
			return;
		}
		assert_int_not_equal(rise, clock);
	}
	assert_true(rise == 0 || rise > now + within);
}

static void test_as_firmware(void **state)
{
	(void)state;
	assert_int_equal(pit_next_rise(&pit, 0, now), now + 65536);
	assert_true(pit_out(&pit, 0, now + 32767));
	assert_false(pit_out(&pit, 0, now + 32768));
	assert_int_equal(pit_read_control(&pit, now) & 3, 0);
}

static void test_mode0(void **state)
{
	(void)state;
	write(PIT_CONTROL, 0x30);
	check_out(0, "__");
	assert_int_equal(pit_next_rise(&pit, 0, now), 0); /* it has no count */
	write(0, 5);
	check_out(0, "_");
	write(0, 0);
	check_rise(0, 20);
	check_out(0, "_____----");
	assert_int_equal(read16(0), 0xfffc); /* it counts on */
	check_rise(0, 70000);
}

static void test_mode1(void **state)
{
	(void)state;
	program(SPEAKER, 1, 3);
	check_out(SPEAKER, "---");
	pit_write_control(&pit, 1, now);
	check_rise(SPEAKER, 10);
	check_out(SPEAKER, "__");
	pit_write_control(&pit, 0, now); /* the level of the gate does not matter, its edge does */
	pit_write_control(&pit, 1, now);
	check_out(SPEAKER, "___---");
	check_rise(SPEAKER, 70000);
}

static void test_mode2(void **state)
{
	(void)state;
	program(0, 2, 4);
	check_rise(0, 10);
	check_out(0, "---_---_---_-");
	check_rise(0, 10);
	for (unsigned int mode = 2; mode <= 6; mode += 4) { /* 6 is 2 too */
		program(0, mode, 1); /* is not allowed: no edges, and nothing divides by it */
		check_rise(0, 10);
		program(0, mode, 0);
		assert_int_equal(pit_next_rise(&pit, 0, now), now + 65536);
		assert_int_equal(read16(0), 0);
		now += 65535;
		assert_int_equal(read16(0), 1);
		check_out(0, "_-");
	}
}

static void test_mode3(void **state)
{
	(void)state;
	program(0, 3, 6);
	check_rise(0, 10);
	check_out(0, "---___---___-");
	check_rise(0, 10);
	program(0, 7, 5); /* 7 is 3 */
	check_out(0, "---__---__---");
	check_rise(0, 10);
	program(0, 3, 8);
	for (unsigned int i = 0; i < 16; i++, now++)
		assert_int_equal(read16(0), 8 - 2 * (i % 4));
	program(0, 3, 5);
	for (unsigned int i = 0; i < 10; i++, now++)
		assert_int_equal(read16(0), i % 5 < 3 ? 4 - 2 * (i % 5) : 4 - 2 * (i % 5 - 3));
}

static void test_mode4(void **state)
{
	(void)state;
	program(0, 4, 3);
	check_rise(0, 10);
	check_out(0, "---_");
	check_rise(0, 70000);
	check_out(0, "---");
	program(0, 4, 2);
	now++;
	write(0, 4); /* a new count begins anew */
	write(0, 0);
	check_out(0, "----_-");
}

static void test_mode5(void **state)
{
	(void)state;
	program(SPEAKER, 5, 3);
	check_out(SPEAKER, "-----");
	assert_int_equal(pit_next_rise(&pit, SPEAKER, now), 0);
	pit_write_control(&pit, 1, now);
	check_rise(SPEAKER, 10);
	check_out(SPEAKER, "---_---");
}

/* A low gate stops modes 0 and 4 where they are, and sets 2 and 3 back to their beginning. */
static void test_gate(void **state)
{
	(void)state;
	pit_write_control(&pit, 1, now);
	program(SPEAKER, 0, 10);
	now += 4;
	pit_write_control(&pit, 0, now);
	now += 100;
	assert_int_equal(read16(SPEAKER), 6);
	assert_int_equal(pit_next_rise(&pit, SPEAKER, now), 0);
	pit_write_control(&pit, 1, now);
	assert_int_equal(pit_next_rise(&pit, SPEAKER, now), now + 6);
	check_out(SPEAKER, "______--");
	program(SPEAKER, 3, 6);
	now += 4;
	assert_false(pit_out(&pit, SPEAKER, now));
	pit_write_control(&pit, 0, now);
	check_out(SPEAKER, "-------");
	pit_write_control(&pit, 1, now);
	check_out(SPEAKER, "---___");
	program(SPEAKER, 2, 3);
	pit_write_control(&pit, 0, now + 2);
	assert_true(pit_out(&pit, SPEAKER, now + 2));
}

/* As Linux calibrates: port 0x61 shows the output of channel 2. */
static void test_speaker(void **state)
{
	(void)state;
	pit_write_control(&pit, 0xfd, now);
	assert_int_equal(pit_read_control(&pit, now) & 0xcf, 0x0d);
	program(SPEAKER, 0, 50);
	assert_int_equal(pit_read_control(&pit, now + 49) & 0x20, 0);
	assert_int_equal(pit_read_control(&pit, now + 50) & 0x20, 0x20);
	/* Refresh toggles: software times delays by it. */
	for (uint64_t clock = 0; clock < 100; clock++)
		assert_int_equal(pit_read_control(&pit, clock) & 0x10, clock / 18 % 2 ? 0x10 : 0);
}

static void test_bytes(void **state)
{
	(void)state;
	write(PIT_CONTROL, 0x14); /* the low byte only */
	write(0, 7);
	assert_int_equal(pit_next_rise(&pit, 0, now), now + 7);
	now += 2;
	assert_int_equal(read(0), 5);
	assert_int_equal(read(0), 5);
	write(PIT_CONTROL, 0x24); /* the high one */
	write(0, 2);
	assert_int_equal(pit_next_rise(&pit, 0, now), now + 0x200);
	now += 0x101;
	assert_int_equal(read(0), 0);
	assert_int_equal(read(PIT_CONTROL), 0xff);
}

static void test_latches(void **state)
{
	(void)state;
	program(0, 2, 0x1234);
	now += 4;
	write(PIT_CONTROL, 0x00);
	now += 100;
	write(PIT_CONTROL, 0x00); /* the first one stays */
	assert_int_equal(read16(0), 0x1230);
	assert_int_equal(read16(0), 0x1234 - 104);
	/* Read-back of count and status, of two channels at once. */
	program(1, 0, 0x55);
	write(PIT_CONTROL, 0xc6);
	now += 50;
	assert_int_equal(read(0), 0xb4);
	assert_int_equal(read16(0), 0x1234 - 104);
	assert_int_equal(read(1), 0x30);
	assert_int_equal(read16(1), 0x55);
	write(PIT_CONTROL, 0x78); /* channel 1, mode 4, no count yet */
	write(PIT_CONTROL, 0xe4); /* its status alone */
	assert_int_equal(read(1), 0xf8);
	write(PIT_CONTROL, 0xd4); /* its count alone */
	write(1, 9);
	write(1, 0);
	now += 3;
	read16(1);
	assert_int_equal(read16(1), 6);
}

static void test_bcd(void **state)
{
	(void)state;
	write(PIT_CONTROL, 0x35);
	write(0, 0x10);
	write(0, 0x20); /* 2010 */
	assert_int_equal(pit_next_rise(&pit, 0, now), now + 2010);
	now += 12;
	assert_int_equal(read16(0), 0x1998);
	write(0, 0);
	write(0, 0); /* 10000 */
	assert_int_equal(pit_next_rise(&pit, 0, now), now + 10000);
	assert_int_equal(read16(0), 0);
	now++;
	assert_int_equal(read16(0), 0x9999);
	write(0, 0xff); /* no digits */
	write(0, 0xff);
	check_rise(0, 20000);
}

/* Every mode, count and time: rises are where the output says, counts within the range, and nothing traps. */
static void test_random(void **state)
{
	(void)state;
	seed_start(8254);
	for (int i = 0; i < 20000; i++) {
		unsigned int channel = (unsigned int)seed_below(3);

		for (uint64_t n = seed_below(4); n; n--)
			write((unsigned int)seed_below(4), (uint8_t)seed_below(256));
		if (seed_below(2))
			pit_write_control(&pit, (uint8_t)seed_below(256), now);
		if (seed_below(2))
			program(channel, (unsigned int)seed_below(8),
				(uint16_t)seed_below(seed_below(2) ? 10 : 300));
		now += seed_below(200);
		check_rise(channel, 700);
		now += seed_below(3) ? seed_below(700) : seed_below(1UL << 40);
		read((unsigned int)seed_below(4));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_as_firmware, reset),
		cmocka_unit_test_setup(test_mode0, reset),
		cmocka_unit_test_setup(test_mode1, reset),
		cmocka_unit_test_setup(test_mode2, reset),
		cmocka_unit_test_setup(test_mode3, reset),
		cmocka_unit_test_setup(test_mode4, reset),
		cmocka_unit_test_setup(test_mode5, reset),
		cmocka_unit_test_setup(test_gate, reset),
		cmocka_unit_test_setup(test_speaker, reset),
		cmocka_unit_test_setup(test_bytes, reset),
		cmocka_unit_test_setup(test_latches, reset),
		cmocka_unit_test_setup(test_bcd, reset),
		cmocka_unit_test_setup(test_random, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
