/* SPDX-License-Identifier: MIT */
/* vmm/dev/pic.c: the 8259A's command words, priorities and acknowledges, as its data sheet has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "unittests/seed.h"
#include "vmm/dev/pic.h"

#define BASE0 0x20
#define BASE1 0x28

static struct pic pic;

static void write(unsigned int chip, bool odd, uint8_t value)
{
	pic_write(&pic, chip, odd, value);
}

/* As systems do it: ICW1 to ICW4 for both, nothing masked. */
static void init_chips(uint8_t icw4)
{
	static const uint8_t base[] = { BASE0, BASE1 }, wires[] = { 4, 2 };

	for (unsigned int i = 0; i < 2; i++) {
		write(i, false, 0x11);
		write(i, true, base[i]);
		write(i, true, wires[i]);
		write(i, true, icw4);
		write(i, true, 0);
	}
}

static int reset(void **state)
{
	(void)state;
	pic_init(&pic);
	init_chips(1);
	return 0;
}

static void edge(unsigned int line)
{
	pic_set(&pic, line, false);
	pic_set(&pic, line, true);
}

/* What the CPU gets, -1 if it is not interrupted. */
static int taken(void)
{
	return pic.intr ? pic_ack(&pic) : -1;
}

static void eoi(unsigned int chip)
{
	write(chip, false, 0x20);
}

static uint8_t read_irr(unsigned int chip)
{
	write(chip, false, 0x0a);
	return pic_read(&pic, chip, false);
}

static uint8_t read_isr(unsigned int chip)
{
	write(chip, false, 0x0b);
	return pic_read(&pic, chip, false);
}

static void test_as_firmware(void **state)
{
	(void)state;
	pic_init(&pic);
	assert_int_equal(pic_read(&pic, 0, true), 0xff);
	assert_int_equal(pic_read(&pic, 1, true), 0xff);
	edge(0);
	edge(8);
	assert_int_equal(taken(), -1);
	write(0, true, 0xfa);
	write(1, true, 0xfe);
	assert_int_equal(taken(), 8);
	eoi(0);
	assert_int_equal(taken(), 0x70);
}

static void test_edge(void **state)
{
	(void)state;
	edge(4);
	assert_int_equal(read_irr(0), 0x10);
	assert_int_equal(taken(), BASE0 + 4);
	assert_int_equal(read_irr(0), 0);
	assert_int_equal(read_isr(0), 0x10);
	/* The line is high still: no edge. A new one waits for the end of the first. */
	pic_set(&pic, 4, true);
	assert_int_equal(read_irr(0), 0);
	edge(4);
	assert_int_equal(taken(), -1);
	eoi(0);
	assert_int_equal(taken(), BASE0 + 4);
	eoi(0);
	assert_int_equal(read_isr(0), 0);
	/* A request goes when its line falls. */
	edge(4);
	pic_set(&pic, 4, false);
	assert_int_equal(taken(), -1);
	pic_pulse(&pic, 4);
	pic_pulse(&pic, 4);
	assert_int_equal(taken(), BASE0 + 4);
}

static void test_level(void **state)
{
	(void)state;
	pic_write_elcr(&pic, 0, 0xff);
	pic_write_elcr(&pic, 1, 0xff);
	assert_int_equal(pic_read_elcr(&pic, 0), 0xf8);
	assert_int_equal(pic_read_elcr(&pic, 1), 0xde);
	pic_set(&pic, 11, true);
	assert_int_equal(taken(), BASE1 + 3);
	assert_int_equal(read_irr(1), 8);
	assert_int_equal(taken(), -1);
	eoi(1);
	eoi(0);
	assert_int_equal(taken(), BASE1 + 3); /* again, for as long as it is high */
	pic_set(&pic, 11, false);
	eoi(1);
	eoi(0);
	assert_int_equal(taken(), -1);
	/* Edge-triggered again, and high when level-triggered is chosen. */
	pic_write_elcr(&pic, 1, 0);
	pic_set(&pic, 10, true);
	assert_int_equal(taken(), BASE1 + 2);
	eoi(1);
	eoi(0);
	assert_int_equal(taken(), -1);
	pic_write_elcr(&pic, 1, 4);
	assert_int_equal(taken(), BASE1 + 2);
}

/* The second chip's inputs come between 1 and 3; what is in service holds up its like and lower ones. */
static void test_priorities(void **state)
{
	static const unsigned int order[] = { 0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7 };

	(void)state;
	for (unsigned int i = 0; i < 15; i++)
		edge(order[14 - i]);
	for (unsigned int i = 0; i < 15; i++) {
		unsigned int line = order[i];

		assert_int_equal(taken(), line < 8 ? BASE0 + line : BASE1 + line - 8);
		assert_int_equal(taken(), -1);
		if (line >= 8)
			eoi(1);
		eoi(0);
	}
	edge(5);
	assert_int_equal(taken(), BASE0 + 5);
	edge(6);
	assert_int_equal(taken(), -1);
	edge(3);
	assert_int_equal(taken(), BASE0 + 3);
	eoi(0); /* of the highest in service */
	assert_int_equal(read_isr(0), 0x20);
}

static void test_masks(void **state)
{
	(void)state;
	write(0, true, 0x10);
	edge(4);
	assert_int_equal(taken(), -1);
	assert_int_equal(read_irr(0), 0x10); /* it waits */
	assert_int_equal(pic_read(&pic, 0, true), 0x10);
	write(0, true, 0);
	assert_int_equal(taken(), BASE0 + 4);
	eoi(0);
	write(0, true, 4); /* the whole second chip */
	edge(9);
	assert_int_equal(taken(), -1);
	write(0, true, 0);
	assert_int_equal(taken(), BASE1 + 1);
	assert_true(pic_wants(&pic, 8) && pic_wants(&pic, 0));
	write(1, true, 1);
	assert_false(pic_wants(&pic, 8));
	edge(0);
	assert_false(pic_wants(&pic, 0));
}

static void test_specific_eoi(void **state)
{
	(void)state;
	edge(6);
	assert_int_equal(taken(), BASE0 + 6);
	edge(1);
	assert_int_equal(taken(), BASE0 + 1);
	write(0, false, 0x66);
	assert_int_equal(read_isr(0), 2);
	write(0, false, 0x67); /* nothing of that kind */
	write(0, false, 0x40); /* no operation */
	assert_int_equal(read_isr(0), 2);
	write(0, false, 0x61);
	assert_int_equal(read_isr(0), 0);
	eoi(0);
	assert_int_equal(read_isr(0), 0);
}

static void test_rotation(void **state)
{
	(void)state;
	write(0, false, 0xc4); /* 4 is the lowest: 5, 6, 7, 0, .. */
	edge(4);
	edge(5);
	edge(0);
	assert_int_equal(taken(), BASE0 + 5);
	write(0, false, 0xa0); /* ends it, and makes it the lowest */
	assert_int_equal(taken(), BASE0 + 0);
	write(0, false, 0xe0); /* the same by number */
	edge(1);
	edge(0);
	assert_int_equal(taken(), BASE0 + 1);
	eoi(0);
	assert_int_equal(taken(), BASE0 + 4);
}

static void test_auto_eoi(void **state)
{
	(void)state;
	init_chips(3);
	edge(3);
	edge(8);
	assert_int_equal(taken(), BASE1);
	assert_int_equal(read_isr(0), 0);
	assert_int_equal(read_isr(1), 0);
	assert_int_equal(taken(), BASE0 + 3);
	/* The second chip has one more: its output rises again. */
	edge(8);
	edge(9);
	assert_int_equal(taken(), BASE1);
	assert_int_equal(taken(), BASE1 + 1);
	/* with rotation: who has been served goes last */
	write(0, false, 0x80);
	edge(3);
	edge(4);
	assert_int_equal(taken(), BASE0 + 3);
	edge(3);
	assert_int_equal(taken(), BASE0 + 4);
	assert_int_equal(taken(), BASE0 + 3);
	write(0, false, 0x00);
	edge(4);
	assert_int_equal(taken(), BASE0 + 4);
	edge(5);
	edge(4);
	assert_int_equal(taken(), BASE0 + 4); /* 3 is the lowest still */
}

/* What is masked neither holds up others nor is ended by a plain EOI. */
static void test_special_mask(void **state)
{
	(void)state;
	edge(1);
	assert_int_equal(taken(), BASE0 + 1);
	edge(6);
	assert_int_equal(taken(), -1);
	write(0, false, 0x68);
	assert_int_equal(taken(), -1);
	write(0, true, 2);
	assert_int_equal(taken(), BASE0 + 6);
	eoi(0);
	assert_int_equal(read_isr(0), 2);
	eoi(0);
	assert_int_equal(read_isr(0), 2);
	write(0, false, 0x0b); /* without ESMM nothing changes */
	edge(7);
	assert_int_equal(taken(), BASE0 + 7);
	write(0, false, 0x48);
	edge(5);
	assert_int_equal(taken(), -1);
}

/* A higher input of the second chip interrupts a lower one of it; those of the first chip do as ever. */
static void test_special_nesting(void **state)
{
	(void)state;
	edge(15);
	assert_int_equal(taken(), BASE1 + 7);
	edge(9);
	assert_int_equal(taken(), -1); /* not without it */
	init_chips(0x11);
	edge(15);
	assert_int_equal(taken(), BASE1 + 7);
	edge(3);
	assert_int_equal(taken(), -1);
	edge(9);
	assert_int_equal(taken(), BASE1 + 1);
	edge(1);
	assert_int_equal(taken(), BASE0 + 1);
}

static void test_poll(void **state)
{
	(void)state;
	write(0, false, 0x0c);
	assert_int_equal(pic_read(&pic, 0, false) & 0x80, 0);
	edge(12);
	edge(3);
	write(0, false, 0x0c);
	assert_int_equal(pic_read(&pic, 0, false),
			 0x82); /* the second chip, which is polled next */
	write(1, false, 0x0c);
	assert_int_equal(pic_read(&pic, 1, true), 0x84);
	assert_int_equal(pic_read(&pic, 1, true), 0); /* once */
	assert_int_equal(read_isr(1), 0x10);
	assert_int_equal(taken(), -1);
	eoi(1);
	eoi(0);
	assert_int_equal(taken(), BASE0 + 3);
}

/* Whoever acknowledges and finds nothing gets input 7, which is not in service then. */
static void test_spurious(void **state)
{
	(void)state;
	assert_int_equal(pic_ack(&pic), BASE0 + 7);
	assert_int_equal(read_isr(0), 0);
	edge(4);
	pic_set(&pic, 4, false);
	assert_int_equal(pic_ack(&pic), BASE0 + 7);
}

static void test_initialisation(void **state)
{
	(void)state;
	edge(4);
	assert_int_equal(taken(), BASE0 + 4);
	write(0, false, 0x68);
	write(0, true, 0x40);
	edge(5);
	write(0, false, 0x11);
	/* In the middle of it nothing but ICWs is taken at the odd port, and masks, service and edges are gone. */
	write(0, true, 0x47);
	write(0, true, 0xff);
	assert_int_equal(pic_read(&pic, 0, true), 0);
	write(0, true, 1);
	write(0, true, 0x80);
	assert_int_equal(pic_read(&pic, 0, true), 0x80);
	assert_int_equal(read_isr(0), 0);
	assert_int_equal(read_irr(0), 0); /* line 5 is high, but its edge is past */
	edge(6);
	assert_int_equal(taken(), 0x40 + 6); /* the low bits of ICW2 do not count */
	/* Alone, and without ICW4: two words. */
	write(0, false, 0x12);
	write(0, true, 0x60);
	write(0, true, 0x08);
	assert_int_equal(pic_read(&pic, 0, true), 0x08);
	/* Cascaded without ICW4: three. */
	write(0, false, 0x10);
	write(0, true, 0x60);
	write(0, true, 0x04);
	write(0, true, 0x09);
	assert_int_equal(pic_read(&pic, 0, true), 0x09);
	/* Alone with ICW4: three as well. */
	write(0, false, 0x13);
	write(0, true, 0x60);
	write(0, true, 0x03);
	write(0, true, 0x0a);
	assert_int_equal(pic_read(&pic, 0, true), 0x0a);
	edge(0);
	assert_int_equal(taken(), 0x60);
	assert_int_equal(read_isr(0), 0); /* and it was AEOI */
}

/* Whatever is written and whatever lines do: the output says whether an acknowledge finds a request. */
static void test_random(void **state)
{
	unsigned int acks = 0;

	(void)state;
	seed_start(8259);
	for (int i = 0; i < 2000000; i++) {
		unsigned int what = (unsigned int)seed_below(8), chip = (unsigned int)seed_below(2);
		uint8_t value = (uint8_t)seed_below(256);

		if (what < 4) {
			pic_set(&pic,
				(unsigned int)(seed_below(2) ? seed_below(2) : 3 + seed_below(13)),
				seed_below(2));
		} else if (what == 4) {
			pic_write(&pic, chip, seed_below(2), seed_below(16) ? value & 0xef : value);
		} else if (what == 5) {
			pic_read(&pic, chip, seed_below(2));
		} else if (what == 6) {
			pic_write_elcr(&pic, chip, value);
		} else if (pic.intr) {
			pic_ack(&pic);
			acks++;
			if (!pic.chip[0].auto_end)
				assert_int_not_equal(pic.chip[0].isr, 0);
		}
		if (what >= 4 && !(i % 64))
			init_chips((uint8_t)(1 | seed_below(2) << 1 | seed_below(2) << 4));
	}
	assert_true(acks > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_as_firmware, reset),
		cmocka_unit_test_setup(test_edge, reset),
		cmocka_unit_test_setup(test_level, reset),
		cmocka_unit_test_setup(test_priorities, reset),
		cmocka_unit_test_setup(test_masks, reset),
		cmocka_unit_test_setup(test_specific_eoi, reset),
		cmocka_unit_test_setup(test_rotation, reset),
		cmocka_unit_test_setup(test_auto_eoi, reset),
		cmocka_unit_test_setup(test_special_mask, reset),
		cmocka_unit_test_setup(test_special_nesting, reset),
		cmocka_unit_test_setup(test_poll, reset),
		cmocka_unit_test_setup(test_spurious, reset),
		cmocka_unit_test_setup(test_initialisation, reset),
		cmocka_unit_test_setup(test_random, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
