/* SPDX-License-Identifier: MIT */
/* vmm/com1.c: a guest's 16550, through its ports. */
#include "unittests/platform.h"

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

/* Somebody types, and COM1 takes it. */
static int start_typing(void **state)
{
	start(state);
	VM->typed.to = VM_INPUT_COM1;
	return 0;
}

static void type(uint8_t byte)
{
	assert_true(typed_receive(VM, byte));
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
	for (unsigned int i = 0; i < 21; i++) {
		if (i == 5)
			type(0x30 + 20); /* behind those that wait, though there is room */
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
		while (typed_receive(VM, (uint8_t)typed))
			typed++;
		assert_int_equal(typed - read, TYPED_MAX + 1); /* one in the receiver */
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
	assert_false(VM->typed.may_wake);
	VM->typed.to = VM_INPUT_COM1;
	out(0x3f9, 1);
	assert_true(VM->typed.may_wake);
	out(0x3fc, 0x00);
	assert_false(VM->typed.may_wake);
	out(0x3fc, 0x18);
	assert_false(VM->typed.may_wake);
	out(0x3fc, 0x08);
	assert_true(VM->typed.may_wake);
	out(0x3f9, 2);
	assert_false(VM->typed.may_wake);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_com1_transmit, start),
		cmocka_unit_test_setup(test_com1_receive, start_typing),
		cmocka_unit_test_setup(test_com1_fifo, start_typing),
		cmocka_unit_test_setup(test_com1_full, start_typing),
		cmocka_unit_test_setup(test_com1_loopback, start_typing),
		cmocka_unit_test_setup(test_com1_attached, start),
		cmocka_unit_test_setup(test_com1_may_wake, start),
		cmocka_unit_test_setup(test_com1_modem, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
