/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk at random. First a driver that keeps to the rules, with requests of every shape, many at once and in any
 * descriptors, beside a model that does the same to its own disk; so often that the rings' indexes wrap. Then one that
 * damages its rings: the device may give up, but copies no more than its bound at one exit, and works again after a reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "unittests/seed.h"
#include "unittests/virtio_machine.h"

#define SLOTS	 16	/* requests at once, at most */
#define SLOT_RAM 0x1000 /* header, status, and data from the middle on */
#define DATA	 0x800

struct request {
	uint16_t head;
	uint8_t status;
	uint32_t written;
	uint32_t at, len; /* of data for the guest, and what is to be there */
	uint8_t want[2048];
};

static uint8_t model[SECTORS * 512];
static struct request requests[SLOTS];
static uint16_t free_descs[QUEUE_SIZE], nr_free;

static uint16_t take_desc(void)
{
	uint64_t i = seed_below(nr_free);
	uint16_t desc = free_descs[i];

	free_descs[i] = free_descs[--nr_free];
	return desc;
}

static uint16_t link(uint16_t before, uint64_t gpa, uint32_t len, uint16_t flags)
{
	uint16_t i = take_desc();

	*desc_at(RINGS, i) = (struct desc){ gpa, len, flags, (uint16_t)seed_below(0x10000) };
	if (before != QUEUE_SIZE) {
		desc_at(RINGS, before)->flags |= NEXT;
		desc_at(RINGS, before)->next = i;
	}
	return i;
}

/* What a disk does, and answers. */
static void execute(struct request *r, uint32_t type, uint64_t sector, uint32_t len)
{
	bool fits = len && len % 512 == 0 && sector < SECTORS && len / 512 <= SECTORS - sector;

	r->written = 1;
	r->len = 0;
	r->status = type > 1 ? type == 4 ? 0 : 2 : !fits;
	if (type > 1 || !fits)
		return;
	if (type) {
		memcpy(model + sector * 512, guest_ram + r->at, len);
		return;
	}
	memcpy(r->want, model + sector * 512, len);
	r->written += r->len = len;
}

static void submit(unsigned int slot)
{
	static const uint32_t types[] = { 0, 0, 0, 1, 1, 1, 4, 7 };
	uint32_t type = types[seed_below(8)], base = slot * SLOT_RAM, at = base + DATA;
	uint32_t sectors = (uint32_t)seed_below(5), len = sectors * 512;
	uint64_t sector = seed_below(16) ? seed_below(SECTORS) : seed_below(1UL << 63);
	uint32_t header[4] = { type, 0, (uint32_t)sector, (uint32_t)(sector >> 32) };
	struct request *r = &requests[slot];
	uint16_t last;

	if (!seed_below(20))
		len += (uint32_t)seed_below(2048 - len + 1);
	memcpy(guest_ram + base, header, sizeof(header));
	guest_ram[base + 16] = 0xee;
	for (uint32_t i = 0; i < len; i++)
		guest_ram[at + i] = (uint8_t)seed_below(256);
	r->at = at;
	r->head = last = link(QUEUE_SIZE, base, 16, 0);
	for (uint32_t left = len; left;) {
		uint32_t n = nr_free > 2 ? (uint32_t)seed_below(left + 1) : left;

		last = link(last, at, n, type ? 0 : WRITE);
		at += n;
		left -= n;
	}
	link(last, base + 16, 1, WRITE);
	execute(r, type, sector, len);
	make_available(RINGS, r->head);
}

static void check(unsigned int slot, const uint32_t *used)
{
	const struct request *r = &requests[slot];

	assert_int_equal(used[0], r->head);
	assert_int_equal(guest_ram[slot * SLOT_RAM + 16], r->status);
	assert_int_equal(used[1], r->written);
	assert_memory_equal(guest_ram + r->at, r->want, r->len);
}

static void test_driver(void **state)
{
	uint64_t nr_requests = 0, nr_irqs = 0, nr_wraps = 0;
	uint16_t used = 0;

	(void)state;
	seed_start(0x1af4);
	memcpy(model, disk, sizeof(model));
	while (nr_requests < 300000) {
		bool quiet = seed_below(2);
		unsigned int n;

		nr_free = QUEUE_SIZE;
		for (uint16_t i = 0; i < QUEUE_SIZE; i++)
			free_descs[i] = i;
		avail_of(RINGS)[0] = quiet;
		for (n = 0; n < SLOTS && nr_free > 10 && seed_below(8); n++)
			submit(n);
		assert_int_equal(notify(DISK, 0), n ? n : 1);
		assert_int_equal(used_of(RINGS)[1], (uint16_t)(used + n));
		for (unsigned int i = 0; i < n; i++, nr_wraps += !used)
			check(i, used_entry(RINGS, used++));
		assert_int_equal(line_is_high(11), n && !quiet);
		nr_irqs += line_is_high(11);
		assert_int_equal(port_in(VM, DISK + 19, 1), n && !quiet);
		assert_memory_equal(disk, model, sizeof(model));
		nr_requests += n;
		if (!seed_below(20000)) {
			start_driver();
			used = 0;
		}
	}
	assert_true(nr_irqs > 1000 && nr_wraps);
}

/* Bytes for one exit: the data, descriptors, header, status, used entry, and indexes and flags of the rings. */
#define COPIED_MAX ((QUEUE_SIZE - 2) * 4096 + QUEUE_SIZE * 16 + 16 + 1 + 8 + 5 * 2)

static void damage(void)
{
	static const uint32_t sizes[] = { 16 * QUEUE_SIZE, 6, 4 + 2 * QUEUE_SIZE };
	uint64_t part = seed_below(3);

	seed_damage(guest_ram + RINGS + (part ? 16 * QUEUE_SIZE : 0), sizes[part]);
	if (!seed_below(4))
		desc_at(RINGS, (unsigned int)seed_below(QUEUE_SIZE))->gpa =
			GUEST_RAM_GONE - seed_below(0x1000);
	if (!seed_below(4))
		desc_at(RINGS, (unsigned int)seed_below(QUEUE_SIZE))->gpa =
			seed_below(GUEST_RAM_SIZE);
	if (!seed_below(8))
		avail_of(RINGS)[1] += (uint16_t)seed_below(QUEUE_SIZE + 2);
	if (!seed_below(16))
		port_out(VM, DISK + 8, 4, (uint32_t)seed_below(GUEST_RAM_SIZE / 4096 + 1));
}

static void test_damage(void **state)
{
	uint64_t nr_given_up = 0, nr_served = 0;

	(void)state;
	seed_start(0x1af4 + 1);
	most_copied = 0;
	for (unsigned int round = 0; round < 100000; round++) {
		unsigned int n;

		start_driver();
		nr_free = QUEUE_SIZE;
		for (uint16_t i = 0; i < QUEUE_SIZE; i++)
			free_descs[i] = i;
		for (n = 0; n < 4; n++)
			submit(n);
		for (uint64_t i = seed_below(4); i; i--)
			damage();
		for (unsigned int i = 0; i < 4; i++)
			assert_true(notify(DISK, 0) <= QUEUE_SIZE + 1);
		nr_given_up += port_in(VM, DISK + 18, 1) >> 6;
		nr_served += used_of(RINGS)[1];
	}
	assert_true(nr_given_up > 1000 && nr_served > 1000);
	assert_true(most_copied <= COPIED_MAX);
	start_driver(); /* now it is served again */
	memcpy(model, disk, sizeof(model));
	nr_free = QUEUE_SIZE;
	submit(0);
	assert_int_equal(notify(DISK, 0), 1);
	check(0, used_entry(RINGS, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_driver, start, stop),
		cmocka_unit_test_setup_teardown(test_damage, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
