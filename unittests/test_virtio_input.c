/* SPDX-License-Identifier: MIT */
/*
 * What is typed to a virtio console: it waits for buffers, goes into them in order and in pieces, and none of it is lost by
 * a driver that is not there, resets its device, or damages its rings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "unittests/seed.h"
#include "unittests/virtio_machine.h"
#include "vmm/post.h"

#define DATA   0x2000
#define BUFFER 0x400 /* of each descriptor, from DATA on */
#define TYPED  (&fake_vm.typed)
#define PIECE  256 /* bytes that come in at one exit */
#define OVERHEAD \
	(4 + 2 + 64 * 16 + 8 + 2 + 2 + 2) /* and what is read and written of the rings for it */

static int start_typing(void **state)
{
	start(state);
	TYPED->to = VM_INPUT_VIRTIO;
	start_driver();
	return 0;
}

static unsigned int type(const char *text)
{
	unsigned int n = 0;

	for (; text[n] && typed_receive(VM, (uint8_t)text[n]); n++)
		;
	return n;
}

/* A chain of one descriptor, which is its head. */
static void give_buffer(uint16_t i, uint32_t len)
{
	*desc_at(RX_RINGS, i) = (struct desc){ DATA + i * BUFFER, len, WRITE, 0 };
	make_available(RX_RINGS, i);
}

static uint16_t nr_used(void)
{
	return used_of(RX_RINGS)[1];
}

static void demand_used(uint16_t i, uint16_t head, const char *text)
{
	assert_int_equal(used_entry(RX_RINGS, i)[0], head);
	assert_int_equal(used_entry(RX_RINGS, i)[1], strlen(text));
	assert_memory_equal(guest_ram + DATA + head * BUFFER, text, strlen(text));
}

/* What a vCPU does at an exit. */
static void look(void)
{
	uint64_t before = guest_ram_copied;

	assert_true(TYPED->due);
	virtio_receive(VM);
	assert_true(guest_ram_copied - before <= PIECE + OVERHEAD);
}

/* Bytes first, then buffers. */
static void test_waits_for_buffers(void **state)
{
	(void)state;
	assert_int_equal(type("hello"), 5);
	look(); /* there are none */
	assert_false(TYPED->due);
	give_buffer(3, 100);
	assert_int_equal(notify(CONSOLE, 0), 1);
	assert_int_equal(nr_used(), 1);
	demand_used(0, 3, "hello");
	assert_true(line_is_high(10));
	assert_int_equal(port_in(VM, CONSOLE + 19, 1), 1);
	assert_false(line_is_high(10));
	give_buffer(4, 100);
	assert_int_equal(notify(CONSOLE, 0), 1);
	assert_int_equal(nr_used(), 1); /* until there are more */
	assert_int_equal(TYPED->count, 0);
}

/* Buffers first: who types touches no RAM, but wakes the first vCPU, which does. */
static void test_typing_wakes(void **state)
{
	uint64_t before;

	(void)state;
	give_buffer(0, 100);
	assert_int_equal(notify(CONSOLE, 0), 1);
	post_collect(&fake_vcpu);
	before = guest_ram_copied;
	fake_vcpu.events.due = ~0UL;
	assert_int_equal(type("x"), 1);
	assert_int_equal(guest_ram_copied, before);
	assert_true(post_is_pending(VM, 0));
	assert_int_equal(fake_vcpu.events.due, 0);
	look();
	demand_used(0, 0, "x");
	assert_true(line_is_high(10));
	assert_false(TYPED->due);
	give_buffer(1, 100);
	virtio_receive(VM); /* another vCPU, too late */
	assert_int_equal(nr_used(), 1);
	assert_int_equal(port_in(VM, CONSOLE + 18, 1), 7);
}

/* As many exits as there are pieces, whether it is notified or looks by itself. */
static void test_pieces(void **state)
{
	static char text[601];

	(void)state;
	for (unsigned int i = 0; i < 600; i++)
		text[i] = (char)('!' + i % 90);
	assert_int_equal(type(text), 600);
	for (uint16_t i = 0; i < 4; i++)
		give_buffer(i, 1000);
	most_copied = 0;
	assert_int_equal(notify(CONSOLE, 0), 3);
	assert_true(most_copied <= PIECE + OVERHEAD);
	assert_int_equal(nr_used(), 3);
	for (uint16_t i = 0; i < 3; i++) {
		assert_int_equal(used_entry(RX_RINGS, i)[1], i < 2 ? PIECE : 600 - 2 * PIECE);
		assert_memory_equal(guest_ram + DATA + i * BUFFER, text + i * PIECE,
				    used_entry(RX_RINGS, i)[1]);
	}
	assert_int_equal(type("0123456789"), 10);
	for (uint16_t i = 4; i < 8; i++)
		give_buffer(i, 3); /* and one of 1000 is left */
	look();
	assert_int_equal(nr_used(), 4);
	demand_used(3, 3, "0123456789");
	assert_int_equal(type("abcdefgh"), 8);
	for (uint16_t i = 4; i < 7; i++) {
		assert_int_equal(nr_used(), i);
		look();
	}
	assert_false(TYPED->due);
	demand_used(4, 4, "abc");
	demand_used(5, 5, "def");
	demand_used(6, 6, "gh");
}

/* The parts of a chain in order; what the device must not write stays. */
static void test_chain(void **state)
{
	(void)state;
	*desc_at(RX_RINGS, 9) = (struct desc){ DATA, 4, NEXT, 1 };
	*desc_at(RX_RINGS, 1) = (struct desc){ DATA + BUFFER, 2, NEXT | WRITE, 2 };
	*desc_at(RX_RINGS, 2) = (struct desc){ DATA + 2 * BUFFER, 0, NEXT | WRITE, 3 };
	*desc_at(RX_RINGS, 3) = (struct desc){ DATA + 0xffe, 5, WRITE, 0 };
	make_available(RX_RINGS, 9);
	assert_int_equal(type("abcdefghi"), 9);
	look();
	assert_int_equal(used_entry(RX_RINGS, 0)[0], 9);
	assert_int_equal(used_entry(RX_RINGS, 0)[1], 7);
	assert_int_equal(guest_ram[DATA], 0);
	assert_memory_equal(guest_ram + DATA + BUFFER, "ab\0", 3);
	assert_memory_equal(guest_ram + DATA + 0xffe, "cdefg\0", 6);
	assert_int_equal(TYPED->count, 2);
}

static void test_no_interrupt(void **state)
{
	(void)state;
	avail_of(RX_RINGS)[0] = 1;
	give_buffer(0, 1);
	type("a");
	look();
	assert_int_equal(nr_used(), 1);
	assert_false(line_is_high(10));
	assert_int_equal(port_in(VM, CONSOLE + 19, 1), 0);
}

/* As many as can wait, and no more until the driver takes some. */
static void test_full(void **state)
{
	static char text[TYPED_MAX + 11];

	(void)state;
	memset(text, 'x', TYPED_MAX + 10);
	assert_int_equal(type(text), TYPED_MAX);
	assert_int_equal(type("y"), 0);
	give_buffer(0, 10);
	notify(CONSOLE, 0);
	assert_int_equal(type(text), 10);
	assert_int_equal(type("y"), 0);
}

/* Rings are looked at when the driver says that it is ready, and what was typed before is due then. */
static void test_driver_ready(void **state)
{
	uint64_t before;

	(void)state;
	port_out(VM, CONSOLE + 18, 1, 0);
	memset(guest_ram + RX_RINGS, 0xff, 0x2000);
	set_queue(CONSOLE, 0, RX_RINGS);
	port_out(VM, CONSOLE + 18, 1, 3);
	before = guest_ram_copied;
	assert_int_equal(type("ab"), 2);
	assert_false(TYPED->due || TYPED->may_wake);
	assert_int_equal(notify(CONSOLE, 0), 1);
	assert_int_equal(guest_ram_copied, before);
	memset(guest_ram + RX_RINGS, 0, 0x2000);
	give_buffer(0, 10);
	port_out(VM, CONSOLE + 18, 1, 7);
	assert_true(TYPED->may_wake);
	look();
	demand_used(0, 0, "ab");
	set_queue(CONSOLE, 0, 0);
	assert_false(TYPED->may_wake);
	set_queue(CONSOLE, 0, RX_RINGS);
	assert_true(TYPED->may_wake);
	type("c");
	assert_true(TYPED->due);
	port_out(VM, CONSOLE + 18, 1, 0);
	assert_false(TYPED->due || TYPED->may_wake);
	assert_int_equal(TYPED->count, 1);
}

/* One device takes what is typed, and the other has none of it. */
static void test_the_other_device(void **state)
{
	(void)state;
	type("a");
	assert_int_equal(port_in(VM, 0x3fd, 1), 0x60);
	port_out(VM, 0x3fc, 1, 8);
	port_out(VM, 0x3f9, 1, 1);
	assert_int_equal(port_in(VM, 0x3f8, 1), 0);
	assert_int_equal(port_in(VM, 0x3fd, 1), 0x60);
	assert_int_equal(TYPED->count, 1);
	TYPED->to = VM_INPUT_COM1;
	TYPED->due = TYPED->may_wake = false;
	port_out(VM, 0x3f9, 1, 1); /* and the receiver has what waited */
	assert_true(TYPED->may_wake);
	give_buffer(0, 100);
	assert_int_equal(notify(CONSOLE, 0), 1);
	start_driver();
	assert_int_equal(nr_used(), 0);
	assert_true(TYPED->may_wake && !TYPED->due);
	type("b");
	assert_false(TYPED->due);
	assert_int_equal(port_in(VM, 0x3f8, 1), 'a');
	assert_int_equal(port_in(VM, 0x3f8, 1), 'b');
	/* What waits for COM1 is not given to the console, which asks. */
	type("cd");
	assert_int_equal(TYPED->count, 1);
	start_driver();
	give_buffer(0, 100);
	notify(CONSOLE, 0);
	assert_int_equal(nr_used(), 0);
	assert_int_equal(port_in(VM, 0x3f8, 1), 'c');
	assert_int_equal(port_in(VM, 0x3f8, 1), 'd');
}

/* ---- rings and buffers that make no sense ---- */

enum harm {
	HARM_NONE,
	HARM_INDEX,
	HARM_HEAD,
	HARM_LOOP,
	HARM_READ_ONLY, /* nothing that may be written */
	HARM_EMPTY,	/* of no bytes */
	HARM_FAR,	/* no RAM */
	HARM_GONE,
	HARM_HALF, /* behind some that is */
	HARM_RINGS_GONE,
	HARM_RINGS_FAR,
	HARM_USED_GONE,
	HARM_NR,
};

static void do_harm(enum harm harm)
{
	struct desc *desc = desc_at(RX_RINGS, 0);
	uint32_t rings = 0;

	give_buffer(0, 8);
	switch (harm) {
	case HARM_INDEX:
		avail_of(RX_RINGS)[1] += QUEUE_SIZE;
		break;
	case HARM_HEAD:
		avail_of(RX_RINGS)[2] = QUEUE_SIZE;
		break;
	case HARM_LOOP:
		desc->flags |= NEXT;
		break;
	case HARM_READ_ONLY:
		desc->flags = 0;
		break;
	case HARM_EMPTY:
		desc->len = 0;
		break;
	case HARM_FAR:
		desc->gpa = ~0UL - 1;
		break;
	case HARM_GONE:
		desc->gpa = GUEST_RAM_GONE;
		break;
	case HARM_HALF:
		desc->len = 2;
		desc->flags |= NEXT;
		desc->next = 1;
		*desc_at(RX_RINGS, 1) = (struct desc){ GUEST_RAM_SIZE, 8, WRITE, 0 };
		break;
	case HARM_RINGS_GONE:
		rings = GUEST_RAM_GONE;
		break;
	case HARM_RINGS_FAR:
		rings = 0xfffff000;
		break;
	case HARM_USED_GONE:
		rings = GUEST_RAM_GONE - 0x1000;
		memcpy(guest_ram + rings, guest_ram + RX_RINGS, 0x1000);
		break;
	default:
		break;
	}
	if (rings)
		set_queue(CONSOLE, 0, rings);
}

/* The device stops and says so; what was typed waits for a driver that resets it. */
static void test_harm(void **state)
{
	(void)state;
	for (enum harm harm = HARM_NONE + 1; harm < HARM_NR; harm++) {
		for (unsigned int notified = 0; notified < 2; notified++) {
			start_driver();
			assert_int_equal(type("secret"), 6);
			do_harm(harm);
			if (notified)
				assert_int_equal(notify(CONSOLE, 0), 1);
			else
				look();
			assert_int_equal(port_in(VM, CONSOLE + 18, 1), 0x47);
			assert_true(line_is_high(10));
			assert_int_equal(port_in(VM, CONSOLE + 19, 1), 2);
			assert_int_equal(nr_used(), 0);
			assert_false(TYPED->due || TYPED->may_wake);
			assert_int_equal(type("s"), 1);
			assert_false(TYPED->due);
			start_driver();
			give_buffer(1, 100);
			look();
			demand_used(0, 1, "secrets");
			assert_int_equal(TYPED->count, 0);
		}
	}
}

/* ---- at random ---- */

#define BUFFERS 16

static uint8_t next_typed, next_read;

static void type_some(void)
{
	for (uint64_t n = seed_below(seed_below(16) ? 30 : 1500); n; n--) {
		if (!typed_receive(VM, next_typed)) {
			assert_int_equal(TYPED->count, TYPED_MAX);
			return;
		}
		next_typed++;
	}
}

/* What has come is what was typed, in order. */
static unsigned int take_used(uint16_t *taken, bool *ours)
{
	unsigned int bytes = 0;

	for (; *taken != nr_used(); ++*taken) {
		const uint32_t *used = used_entry(RX_RINGS, *taken);
		const struct desc *desc = desc_at(RX_RINGS, used[0]);

		assert_false(ours[used[0]]);
		assert_in_range(used[1], 1, desc->len);
		for (uint32_t i = 0; i < used[1]; i++)
			assert_int_equal(guest_ram[desc->gpa + i], next_read++);
		assert_int_equal(guest_ram[desc->gpa + used[1]], 0);
		memset(guest_ram + desc->gpa, 0, used[1]);
		ours[used[0]] = true;
		bytes += used[1];
	}
	return bytes;
}

static void test_walk(void **state)
{
	bool ours[BUFFERS];
	uint64_t nr_bytes = 0, nr_chains = 0, nr_full = 0;
	uint16_t taken = 0;

	(void)state;
	seed_start(0x1af5);
	memset(ours, true, sizeof(ours));
	while (nr_chains < 200000) {
		uint16_t before = taken;

		if (seed_below(2))
			type_some();
		nr_full += TYPED->count == TYPED_MAX;
		for (uint16_t i = 0; i < BUFFERS; i++) {
			if (!ours[i] || !seed_below(3))
				continue;
			give_buffer(i, (uint32_t)seed_below(seed_below(4) ? 8 : BUFFER - 1) + 1);
			ours[i] = false;
		}
		for (uint64_t n = seed_below(4); n && TYPED->due; n--)
			look();
		if (seed_below(2))
			assert_true(notify(CONSOLE, 0) <= BUFFERS);
		nr_bytes += take_used(&taken, ours);
		nr_chains += (uint16_t)(taken - before);
		assert_int_equal((uint8_t)(next_typed - next_read), (uint8_t)TYPED->count);
		assert_int_equal(port_in(VM, CONSOLE + 18, 1), 7);
	}
	assert_true(nr_full > 100 && nr_bytes > nr_chains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_for_buffers, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_typing_wakes, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_pieces, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_chain, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_no_interrupt, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_full, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_driver_ready, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_the_other_device, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_harm, start_typing, stop),
		cmocka_unit_test_setup_teardown(test_walk, start_typing, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
