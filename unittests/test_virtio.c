/* SPDX-License-Identifier: MIT */
/* A virtio disk by its ports: registers, each kind of request, and rings that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "unittests/virtio_machine.h"

/* ---- registers ---- */

static void test_registers(void **state)
{
	(void)state;
	assert_int_equal(port_in(VM, DISK, 4), 1 << 1 | 1 << 2 | 1 << 9);
	assert_int_equal(port_in(VM, CONSOLE, 4), 0);
	assert_true(port_out(VM, DISK + 4, 4, ~0u)); /* what is not offered is not taken */
	assert_int_equal(port_in(VM, DISK + 4, 4), port_in(VM, DISK, 4));
	assert_int_equal(port_in(VM, DISK + 8, 4), RINGS >> 12);
	assert_int_equal(port_in(VM, DISK + 12, 2), QUEUE_SIZE);
	assert_int_equal(port_in(VM, DISK + 18, 1), 7);
	assert_true(port_out(VM, DISK + 14, 2, 1)); /* a disk has one queue, the console two */
	assert_int_equal(port_in(VM, DISK + 12, 4), 0x00010000);
	assert_true(port_out(VM, DISK + 8, 4, 5));
	assert_int_equal(port_in(VM, DISK + 8, 4), 0);
	assert_int_equal(port_in(VM, CONSOLE + 14, 2), 1);
	assert_int_equal(port_in(VM, CONSOLE + 12, 2), QUEUE_SIZE);
	assert_true(port_out(VM, CONSOLE + 14, 2, 2));
	assert_int_equal(port_in(VM, CONSOLE + 12, 2), 0);
	/* The disk's own: sectors, bytes of a segment, segments; of any width, and nothing behind. */
	assert_int_equal(port_in(VM, DISK + 20, 4), SECTORS);
	assert_int_equal(port_in(VM, DISK + 24, 4), 0);
	assert_int_equal(port_in(VM, DISK + 28, 4), 4096);
	assert_int_equal(port_in(VM, DISK + 32, 4), QUEUE_SIZE - 2);
	assert_int_equal(port_in(VM, DISK + 29, 1), 0x10);
	assert_int_equal(port_in(VM, DISK + 29, 2), 0x10);
	assert_int_equal(port_in(VM, DISK + 63, 4), 0);
	assert_int_equal(port_in(VM, CONSOLE + 20, 4), 0);
	assert_int_equal(fake_nr_unserved, 0);
}

/* Registers that are read only, and accesses as wide as no register, change nothing. */
static void test_writes_of_no_register(void **state)
{
	struct virtio before = PC->disk.virtio;

	(void)state;
	for (unsigned int reg = 0; reg < 64; reg++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			if ((reg == 4 && size == 4) || (reg == 8 && size == 4) ||
			    (reg == 14 && size == 2) || (reg == 18 && size == 1))
				continue;
			assert_int_equal(port_out(VM, (uint16_t)(DISK + reg), size, 0),
					 PORT_SERVED);
			assert_memory_equal(&PC->disk.virtio, &before, sizeof(before));
		}
	}
}

/* The guest may put the ports elsewhere, or nowhere. */
static void test_ports_move(void **state)
{
	(void)state;
	port_out(VM, 0xcf8, 4, 0x80001010);
	assert_int_equal(port_in(VM, 0xcfc, 4), DISK | 1);
	port_out(VM, 0xcfc, 4, 0xffffffff);
	assert_int_equal(port_in(VM, 0xcfc, 4), 0xffc1); /* 64 ports */
	assert_int_equal(port_in(VM, 0xffc0 + 20, 4), SECTORS);
	assert_int_equal(port_in(VM, 0xffff, 4), 0);
	assert_int_equal(fake_nr_unserved, 0);
	assert_int_equal(port_in(VM, DISK + 20, 4), ~0u);
	assert_int_equal(fake_nr_unserved, 1);
	port_out(VM, 0xcfc, 4, 0x40); /* over the timer, which stays */
	assert_int_equal(port_in(VM, 0x40 + 20, 1), 0xff);
	assert_int_equal(fake_nr_unserved, 2);
	port_out(VM, 0xcfc, 4, CONSOLE); /* over the console, which is first */
	assert_int_equal(port_in(VM, CONSOLE + 20, 4), 0);
	port_out(VM, 0xcf8, 4, 0x80000804);
	assert_int_equal(port_in(VM, 0xcfc, 2), 1);
	port_out(VM, 0xcfc, 2, 0xfffe); /* its ports are off, so the disk has them */
	assert_int_equal(port_in(VM, 0xcfc, 2), 4);
	assert_int_equal(port_in(VM, CONSOLE + 20, 4), SECTORS);
}

/* ---- requests ---- */

#define HEADER	  0x1000
#define STATUS	  0x1100
#define DATA	  0x2000
#define NO_ANSWER 0xee

static void set_header(uint32_t type, uint64_t sector)
{
	uint32_t words[4] = { type, 0, (uint32_t)sector, (uint32_t)(sector >> 32) };

	memcpy(guest_ram + HEADER, words, sizeof(words));
	guest_ram[STATUS] = NO_ANSWER;
}

/* Header, @nr segments, status, in descriptors 0 to @nr + 1. */
static void build(uint32_t type, uint64_t sector, const struct desc *segs, unsigned int nr)
{
	set_header(type, sector);
	*desc_at(RINGS, 0) = (struct desc){ HEADER, 16, NEXT, 1 };
	for (unsigned int i = 0; i < nr; i++) {
		*desc_at(RINGS, i + 1) = segs[i];
		desc_at(RINGS, i + 1)->flags |= NEXT;
		desc_at(RINGS, i + 1)->next = (uint16_t)(i + 2);
	}
	*desc_at(RINGS, nr + 1) = (struct desc){ STATUS, 1, WRITE, 0 };
}

/* The answer to what is built; it is over with one notification, and interrupts. */
static uint8_t request(uint32_t *written)
{
	uint16_t index = used_of(RINGS)[1];

	make_available(RINGS, 0);
	assert_int_equal(notify(DISK, 0), 1);
	assert_int_equal(used_of(RINGS)[1], (uint16_t)(index + 1));
	assert_int_equal(used_entry(RINGS, index)[0], 0);
	*written = used_entry(RINGS, index)[1];
	assert_true(line_is_high(11));
	assert_int_equal(port_in(VM, DISK + 19, 1), 1);
	assert_int_equal(port_in(VM, DISK + 19, 1), 0);
	assert_false(line_is_high(11));
	return guest_ram[STATUS];
}

static uint8_t request_of(uint32_t type, uint64_t sector, const struct desc *segs, unsigned int nr,
			  uint32_t *written)
{
	build(type, sector, segs, nr);
	return request(written);
}

static void test_read_and_write(void **state)
{
	static const struct desc in[] = { { DATA, 100, WRITE, 0 },
					  { DATA + 100, 412, WRITE, 0 },
					  { DATA + 0x1ff0, 1024, WRITE, 0 } },
				 out[] = { { DATA, 1024, 0, 0 } };
	uint32_t written;

	(void)state;
	assert_int_equal(request_of(0, 97, in, 3, &written), 0);
	assert_int_equal(written, 1536 + 1);
	assert_memory_equal(guest_ram + DATA, disk + 97 * 512, 512);
	assert_memory_equal(guest_ram + DATA + 0x1ff0, disk + 98 * 512, 1024);
	assert_int_equal(request_of(1, 0, out, 1, &written), 0);
	assert_int_equal(written, 1);
	assert_memory_equal(disk, guest_ram + DATA, 1024);
	assert_int_equal(disk[1024], 2);
}

static void test_other_requests(void **state)
{
	static const struct desc id = { DATA, 20, WRITE, 0 }, short_id = { DATA, 19, WRITE, 0 },
				 read_id = { DATA, 20, 0, 0 };
	uint32_t written;

	(void)state;
	assert_int_equal(request_of(4, 0, NULL, 0, &written), 0);
	assert_int_equal(written, 1);
	assert_int_equal(request_of(8, 0, &id, 1, &written), 0);
	assert_int_equal(written, 21);
	assert_memory_equal(guest_ram + DATA, "vestibule-disk\0\0\0\0\0\0", 20);
	assert_int_equal(request_of(8, 0, &short_id, 1, &written), 1);
	assert_int_equal(request_of(8, 0, &read_id, 1, &written), 1);
	assert_int_equal(request_of(8, 0, NULL, 0, &written), 1);
	for (uint32_t type = 2; type < 40; type++)
		if (type != 4 && type != 8)
			assert_int_equal(request_of(type, 0, &id, 1, &written), 2);
	assert_int_equal(request_of(0x80000000, 0, &id, 1, &written), 2);
}

/* Each fails as a whole, and neither disk nor RAM has changed but for the answer. */
static void test_failing_requests(void **state)
{
	static const struct {
		uint64_t sector;
		unsigned int nr;
		struct desc seg[2]; /* as for a read; written ones are turned round */
	} cases[] = {
		{ SECTORS, 1, { { DATA, 512, WRITE, 0 } } },
		{ SECTORS - 1, 1, { { DATA, 1024, WRITE, 0 } } },
		{ ~0UL, 1, { { DATA, 512, WRITE, 0 } } },
		{ ~0UL, 1, { { DATA, 1024, WRITE, 0 } } },
		{ 1UL << 55, 1, { { DATA, 512, WRITE, 0 } } },
		{ 0, 0, { { 0, 0, 0, 0 } } },
		{ 0, 1, { { DATA, 0, WRITE, 0 } } },
		{ 0, 1, { { DATA, 511, WRITE, 0 } } },
		{ 0, 2, { { DATA, 512, WRITE, 0 }, { DATA, 1, WRITE, 0 } } },
		{ 0, 1, { { DATA, 4608, WRITE, 0 } } },
		{ 0, 1, { { DATA, 0xfffffe00, WRITE, 0 } } },
		{ 0, 2, { { DATA, 0xfffffe00, WRITE, 0 }, { DATA, 0x400, WRITE, 0 } } },
		{ 0, 1, { { ~0UL - 511, 512, WRITE, 0 } } },
		{ 0, 1, { { ~0UL, 512, WRITE, 0 } } },
		{ 0, 1, { { GUEST_RAM_SIZE, 512, WRITE, 0 } } },
		{ 0, 1, { { GUEST_RAM_GONE, 512, WRITE, 0 } } },
		{ 0, 1, { { GUEST_RAM_GONE + 0xe00, 512, WRITE, 0 } } },
	};
	uint8_t *ram = malloc(GUEST_RAM_SIZE), *copy = malloc(SECTORS * 512);
	uint32_t written;

	(void)state;
	memcpy(copy, disk, SECTORS * 512);
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct desc seg[2];

		memcpy(seg, cases[i / 2].seg, sizeof(seg));
		seg[0].flags ^= i % 2 ? WRITE : 0;
		seg[1].flags ^= i % 2 ? WRITE : 0;
		memcpy(ram, guest_ram, GUEST_RAM_SIZE);
		assert_int_equal(
			request_of(i % 2, cases[i / 2].sector, seg, cases[i / 2].nr, &written), 1);
		assert_int_equal(written, 1);
		assert_memory_equal(guest_ram + DATA, ram + DATA, RINGS - DATA);
		assert_memory_equal(guest_ram + RINGS + 0x6000, ram + RINGS + 0x6000,
				    GUEST_RAM_SIZE - RINGS - 0x6000);
		assert_memory_equal(disk, copy, SECTORS * 512);
	}
	/* Of the wrong direction. */
	for (unsigned int type = 0; type < 2; type++) {
		struct desc seg = { DATA, 512, type ? WRITE : 0, 0 };

		assert_int_equal(request_of(type, 0, &seg, 1, &written), 1);
		assert_memory_equal(disk, copy, SECTORS * 512);
	}
	free(ram);
	free(copy);
}

/* What lies before a segment that is no RAM is done, and counted. */
static void test_half_a_request(void **state)
{
	static const struct desc seg[] = { { DATA, 512, WRITE, 0 },
					   { GUEST_RAM_SIZE, 512, WRITE, 0 },
					   { DATA + 512, 512, WRITE, 0 } };
	uint32_t written;

	(void)state;
	assert_int_equal(request_of(0, 1, seg, 3, &written), 1);
	assert_int_equal(written, 513);
	assert_memory_equal(guest_ram + DATA, disk + 512, 512);
	assert_int_equal(guest_ram[DATA + 512], 0);
}

/* Several at once: the OUT is executed once for each, and the bound on one of them holds. */
static void test_one_for_each_exit(void **state)
{
	struct desc seg[QUEUE_SIZE - 2];

	(void)state;
	for (unsigned int i = 0; i < QUEUE_SIZE - 2; i++)
		seg[i] = (struct desc){ DATA, i < 12 ? 4096 : 0, 0, 0 }; /* 96 of 100 sectors */
	build(1, 0, seg, QUEUE_SIZE - 2);
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		make_available(RINGS, 0);
	most_copied = 0;
	assert_int_equal(notify(DISK, 0), QUEUE_SIZE);
	assert_true(most_copied >= 12 * 4096 && most_copied < 12 * 4096 + 1200);
	assert_int_equal(used_of(RINGS)[1], QUEUE_SIZE);
	assert_int_equal(guest_ram[STATUS], 0);
	assert_int_equal(notify(DISK, 0), 1);
	assert_int_equal(used_of(RINGS)[1], QUEUE_SIZE);
}

static void test_no_interrupt(void **state)
{
	(void)state;
	build(4, 0, NULL, 0);
	avail_of(RINGS)[0] = 1;
	make_available(RINGS, 0);
	notify(DISK, 0);
	assert_int_equal(guest_ram[STATUS], 0);
	assert_false(line_is_high(11));
	assert_int_equal(port_in(VM, DISK + 19, 1), 0);
}

/* ---- rings that make no sense ---- */

enum harm {
	HARM_NONE,
	HARM_INDEX,    /* more chains than there are descriptors */
	HARM_HEAD,     /* a chain that begins nowhere */
	HARM_NEXT,     /* one that goes on there */
	HARM_LOOP,     /* one that comes back */
	HARM_SELF,     /* at once */
	HARM_INDIRECT, /* what was not offered */
	HARM_ORDER,    /* read behind written */
	HARM_SHORT,    /* no byte for the answer */
	HARM_ANSWER,   /* none that is RAM */
	HARM_HEADER,   /* no header */
	HARM_HEADER_LEN,
	HARM_STATUS_READ,
	HARM_STATUS_LEN,
	HARM_RINGS_OUT, /* no rings */
	HARM_RINGS_GONE,
	HARM_RINGS_FAR,
	HARM_USED_GONE, /* but the driver's */
	HARM_NR,
};

static void do_harm(enum harm harm)
{
	static const struct desc data = { DATA, 512, WRITE, 0 };
	uint16_t *avail = avail_of(RINGS);
	uint32_t rings = 0;

	build(0, 1, &data, 1);
	make_available(RINGS, 0);
	switch (harm) {
	case HARM_INDEX:
		avail[1] = QUEUE_SIZE + 1;
		break;
	case HARM_HEAD:
		avail[2] = QUEUE_SIZE;
		break;
	case HARM_NEXT:
		desc_at(RINGS, 1)->next =
			QUEUE_SIZE; /* where another byte for the answer seems to be */
		avail[4] = 1;
		avail[6] = WRITE;
		break;
	case HARM_LOOP:
		*desc_at(RINGS, 2) = (struct desc){ STATUS, 1, WRITE | NEXT, 1 };
		break;
	case HARM_SELF:
		desc_at(RINGS, 0)->next = 0;
		break;
	case HARM_INDIRECT:
		desc_at(RINGS, 1)->flags |= INDIRECT;
		break;
	case HARM_ORDER:
		desc_at(RINGS, 2)->flags = NEXT;
		desc_at(RINGS, 2)->next = 3;
		*desc_at(RINGS, 3) = (struct desc){ STATUS, 1, WRITE, 0 };
		break;
	case HARM_SHORT:
		desc_at(RINGS, 0)->flags = 0;
		break;
	case HARM_ANSWER:
		desc_at(RINGS, 2)->gpa = GUEST_RAM_GONE;
		break;
	case HARM_HEADER:
		desc_at(RINGS, 0)->gpa = GUEST_RAM_SIZE - 15;
		break;
	case HARM_HEADER_LEN:
		desc_at(RINGS, 0)->len = 17;
		break;
	case HARM_STATUS_READ:
		desc_at(RINGS, 1)->flags = NEXT;
		desc_at(RINGS, 2)->flags = 0;
		break;
	case HARM_STATUS_LEN:
		desc_at(RINGS, 2)->len = 0;
		break;
	case HARM_RINGS_OUT:
		rings = GUEST_RAM_SIZE;
		break;
	case HARM_RINGS_GONE:
		rings = GUEST_RAM_GONE;
		break;
	case HARM_RINGS_FAR:
		rings = 0xfffff000;
		break;
	case HARM_USED_GONE:
		rings = GUEST_RAM_GONE - 0x1000;
		memcpy(guest_ram + rings, guest_ram + RINGS, 0x1000);
		break;
	default:
		break;
	}
	if (rings)
		set_queue(DISK, 0, rings);
}

/* The device stops, says so, and does nothing until it is reset. */
static void test_harm(void **state)
{
	(void)state;
	for (enum harm harm = HARM_NONE + 1; harm < HARM_NR; harm++) {
		start_driver();
		do_harm(harm);
		memset(guest_ram + DATA, 0, 512);
		assert_int_equal(notify(DISK, 0), 1);
		assert_int_equal(port_in(VM, DISK + 18, 1), 0x47);
		assert_true(line_is_high(11));
		assert_int_equal(port_in(VM, DISK + 19, 1), 2);
		assert_int_equal(used_of(RINGS)[1], 0);
		do_harm(HARM_NONE);
		port_out(VM, DISK + 18, 1, 7); /* is no reset */
		set_queue(DISK, 0, RINGS);
		assert_int_equal(notify(DISK, 0), 1);
		assert_int_equal(guest_ram[STATUS], NO_ANSWER);
		assert_int_equal(port_in(VM, DISK + 18, 1), 0x47);
		start_driver();
		do_harm(HARM_NONE);
		assert_int_equal(notify(DISK, 0), 1);
		assert_int_equal(guest_ram[STATUS], 0);
		assert_int_equal(port_in(VM, DISK + 18, 1), 7);
	}
}

/* A queue that there is not, and one that is not set up. */
static void test_no_queue(void **state)
{
	(void)state;
	do_harm(HARM_NONE);
	for (unsigned int i = 1; i < 0x10000; i++)
		assert_int_equal(notify(DISK, (uint16_t)i), 1);
	set_queue(DISK, 0, 0);
	assert_int_equal(notify(DISK, 0), 1);
	assert_int_equal(guest_ram[STATUS], NO_ANSWER);
	assert_int_equal(port_in(VM, DISK + 18, 1), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, start, stop),
		cmocka_unit_test_setup_teardown(test_writes_of_no_register, start, stop),
		cmocka_unit_test_setup_teardown(test_ports_move, start, stop),
		cmocka_unit_test_setup_teardown(test_read_and_write, start, stop),
		cmocka_unit_test_setup_teardown(test_other_requests, start, stop),
		cmocka_unit_test_setup_teardown(test_failing_requests, start, stop),
		cmocka_unit_test_setup_teardown(test_half_a_request, start, stop),
		cmocka_unit_test_setup_teardown(test_one_for_each_exit, start, stop),
		cmocka_unit_test_setup_teardown(test_no_interrupt, start, stop),
		cmocka_unit_test_setup_teardown(test_harm, start, stop),
		cmocka_unit_test_setup_teardown(test_no_queue, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
